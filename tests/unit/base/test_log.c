/* The log line. Standard error is a datagram socket meanwhile, so that one datagram is one
 * write(2). */
#include "unit.h"

#include <pthread.h>
#include <regex.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/log.h"

static int real_stderr = -1;
static int reader = -1;

static int catch_stderr(void **state)
{
	int ends[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0)
		return -1;
	real_stderr = dup(STDERR_FILENO);
	dup2(ends[0], STDERR_FILENO);
	close(ends[0]);
	reader = ends[1];
	log_set_level(LOG_INFO);
	log_set_format(LOG_FORMAT_TEXT);
	return 0;
}

static int release_stderr(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(reader);
	return 0;
}

/* The next line without its newline; "" if none was written. */
static const char *next_line(void)
{
	static char line[8192];
	ssize_t n = recv(reader, line, sizeof(line) - 1, MSG_DONTWAIT);

	if (n <= 0)
		return "";
	assert_int_equal(line[n - 1], '\n');
	assert_null(memchr(line, '\n', (size_t)n - 1));
	line[n - 1] = '\0';
	return line;
}

/* The next line after time and level. */
static const char *next_event(void)
{
	const char *line = next_line();

	return strlen(line) > 31 ? line + 31 : line;
}

static char diverted[256];

static void divert(void *ctx, const char *text, size_t n)
{
	assert_ptr_equal(ctx, &reader);
	assert_true(n < sizeof(diverted) && text[n - 1] == '\n');
	memcpy(diverted, text, n);
	diverted[n] = '\0';
}

static void lines_can_be_diverted(void **state)
{
	(void)state;
	log_divert(divert, &reader);
	log_info("one");
	assert_string_equal(next_event(), "");
	assert_non_null(strstr(diverted, "one"));
	log_divert(NULL, NULL);
	log_info("two");
	assert_string_equal(next_event(), "two");
	assert_null(strstr(diverted, "two"));
}

static void a_line_is_time_level_event_fields(void **state)
{
	regex_t form;

	(void)state;
	assert_int_equal(regcomp(&form,
				 "^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
				 "\\.[0-9]{3}Z info  batch\\.started batch=batch_0a lines=300000$",
				 REG_EXTENDED | REG_NOSUB),
			 0);
	log_info("batch.started", kv_str("batch", "batch_0a"), kv_u64("lines", 300000));
	assert_int_equal(regexec(&form, next_line(), 0, NULL, 0), 0);
	assert_string_equal(next_line(), "");
	regfree(&form);
}

static void levels_below_the_least_are_dropped(void **state)
{
	(void)state;
	log_debug("a");
	assert_string_equal(next_line(), "");
	log_set_level(LOG_DEBUG);
	log_debug("b");
	assert_string_equal(next_event(), "b");
	log_set_level(LOG_ERROR);
	log_warn("c");
	assert_string_equal(next_line(), "");
	log_error("d");
	assert_string_equal(next_event(), "d");
	log_set_level(LOG_OFF);
	log_error("e");
	assert_string_equal(next_line(), "");
}

static void values_are_quoted_where_needed(void **state)
{
	(void)state;
	log_info("x", kv_str("a", "plain-1.2/3:潮"), kv_str("b", "two words"), kv_str("c", ""),
		 kv_str("d", NULL), kv_int("e", -5), kv_slice("f", SLICE("k=v")));
	assert_string_equal(next_event(),
			    "x a=plain-1.2/3:潮 b=\"two words\" c=\"\" d=\"\" e=-5 f=\"k=v\"");
	log_info("x", kv_str("a", "say \"hi\""), kv_str("b", "c:\\dir"));
	assert_string_equal(next_event(), "x a=\"say \\\"hi\\\"\" b=\"c:\\\\dir\"");
}

/* A filename of a client must neither forge a line nor drive the terminal of who reads the log. */
static void control_characters_are_escaped(void **state)
{
	(void)state;
	log_info("x", kv_str("a", "1\n2026 error forged\r\t\x1b[2J\x7f"));
	assert_string_equal(next_event(), "x a=\"1\\n2026 error forged\\r\\t\\x1b[2J\\x7f\"");
	log_info("x", kv_slice("a", SLICE("\0z")),
		 kv_str("b", "\xC2\x9B"
			     "31m"),
		 kv_str("c", "\xFF"));
	assert_string_equal(next_event(), "x a=\"\\x00z\" b=\"\\xc2\\x9b31m\" c=\"\\xff\"");
}

static void an_error_is_fields_before_the_rest(void **state)
{
	struct error err;

	(void)state;
	(void)!fail_sys(&err, ENOSPC, "writing /data/x");
	log_fault("upload.failed", &err, kv_str("file", "file-1"));
	assert_string_equal(next_event(),
			    "upload.failed error=\"The server's disk is full; nothing was stored. "
			    "Try again later.\" detail=\"writing /data/x\" errno=28 file=file-1");
	err.sqlite = 5; /* in a field of its own: 5 is EIO's number, too (D9) */
	err.sys = 0;
	log_fault("store.busy", &err);
	assert_non_null(strstr(next_event(), " sqlite=5"));
	(void)!fail(&err, ERR_INVALID, "bad");
	err.line = 12;
	log_fault("config.bad", &err);
	assert_string_equal(next_event(), "config.bad error=bad line=12");
}

static void long_values_and_lines_are_cut(void **state)
{
	char text[3001];
	size_t n;

	(void)state;
	for (n = 0; n + 3 < sizeof(text); n += 3)
		memcpy(text + n, "潮", 4); /* and its NUL */
	log_info("x", kv_str("a", text), kv_str("b", "still here"));
	const char *line = next_line();
	assert_true(strlen(line) < 1200);
	assert_non_null(strstr(line, "潮…\" b=\"still here\""));
	log_info("x", kv_str("a", text), kv_str("b", text), kv_str("c", text), kv_str("d", text));
	assert_int_equal(strlen(next_line()), 4095);
}

/* ---- log.format: json ---- */

/* What stands behind "event": in the next line, without the brace at its end. */
static const char *next_json(void)
{
	static char text[8192];
	const char *line = next_line();
	struct json j;
	struct slice all;

	json_init(&j, slice_of(line));
	if (json_peek(&j) != JSON_OBJECT || !json_skip(&j, &all) || !json_end(&j))
		fail_msg("no JSON: %s", line);
	const char *at = strstr(line, ",\"event\":");
	assert_non_null(at);
	snprintf(text, sizeof(text), "%s", at + 9);
	text[strlen(text) - 1] = '\0';
	return text;
}

static void json_has_the_same_event_and_fields(void **state)
{
	regex_t form;

	(void)state;
	log_set_format(LOG_FORMAT_JSON);
	assert_int_equal(
		regcomp(&form,
			"^\\{\"time\":\"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
			"\\.[0-9]{3}Z\",\"level\":\"info\",\"event\":\"batch.started\","
			"\"batch\":\"batch_0a\",\"lines\":300000,\"left\":-5\\}$",
			REG_EXTENDED | REG_NOSUB),
		0);
	log_info("batch.started", kv_str("batch", "batch_0a"), kv_u64("lines", 300000),
		 kv_int("left", -5));
	assert_int_equal(regexec(&form, next_line(), 0, NULL, 0), 0);
	regfree(&form);
	log_warn("x");
	assert_string_equal(next_json(), "\"x\"");
	log_info("x", kv_u64("n", UINT64_MAX), kv_str("d", NULL), kv_slice("f", SLICE("k=v")));
	assert_string_equal(next_json(),
			    "\"x\",\"n\":18446744073709551615,\"d\":\"\",\"f\":\"k=v\"");
}

static void json_values_are_escaped(void **state)
{
	(void)state;
	log_set_format(LOG_FORMAT_JSON);
	log_info("x", kv_str("a", "say \"hi\" in c:\\dir"), kv_str("b", "1\n2\r\t\x1b[2J\x7f"),
		 kv_slice("c", SLICE("\0z")),
		 kv_str("d", "\xC2\x9B"
			     "31m"),
		 kv_str("e", "\xFF潮"));
	assert_string_equal(next_json(),
			    "\"x\",\"a\":\"say \\\"hi\\\" in c:\\\\dir\","
			    "\"b\":\"1\\n2\\r\\t\\u001b[2J\\u007f\",\"c\":\"\\u0000z\","
			    "\"d\":\"\\u009b31m\",\"e\":\"\\ufffd潮\"");
}

static void json_errors_are_fields(void **state)
{
	struct error err;

	(void)state;
	log_set_format(LOG_FORMAT_JSON);
	(void)!fail_sys(&err, ENOSPC, "writing /data/x");
	log_fault("upload.failed", &err, kv_str("file", "file-1"));
	assert_string_equal(
		next_json(),
		"\"upload.failed\",\"error\":\"The server's disk is full; nothing was "
		"stored. Try again later.\",\"detail\":\"writing /data/x\",\"errno\":28,"
		"\"file\":\"file-1\"");
}

/* An object that is too long stays one: whole fields go, and it says so. */
static void json_that_is_cut_is_json(void **state)
{
	static char text[3001], quotes[1025];

	(void)state;
	log_set_format(LOG_FORMAT_JSON);
	for (size_t n = 0; n + 3 < sizeof(text); n += 3)
		memcpy(text + n, "潮", 4); /* and its NUL */
	memset(quotes, 1, sizeof(quotes) - 1);
	log_info("x", kv_str("a", text), kv_str("b", "still here"));
	assert_non_null(strstr(next_json(), "潮…\",\"b\":\"still here\""));
	log_info("x", kv_str("a", text), kv_str("b", text), kv_str("c", text), kv_str("d", text),
		 kv_str("e", "x"));
	const char *line = next_json();
	assert_non_null(strstr(line, "\"c\":"));
	assert_null(strstr(line, "\"d\":"));
	assert_null(strstr(line, "\"e\":"));
	assert_string_equal(line + strlen(line) - 11, ",\"cut\":true");
	for (size_t n = 3900; n < 4100; n++) { /* wherever the end falls */
		struct slice fill = { text + 1500, n - 3100 };
		log_info("x", kv_str("a", text), kv_str("b", text), kv_str("c", text),
			 kv_slice("d", fill));
		(void)next_json();
	}
	log_info("x", kv_str("a", quotes), kv_str("b", "x"));
	assert_string_equal(next_json(), "\"x\",\"cut\":true");
}

static void errno_is_left_alone(void **state)
{
	(void)state;
	close(STDERR_FILENO); /* every write fails */
	errno = ENOENT;
	log_error("x");
	assert_int_equal(errno, ENOENT);
}

#define THREADS 4
#define LINES 50

static void *log_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_info("storm", kv_str("thread", arg), kv_int("i", i));
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	static char names[THREADS][2] = { "a", "b", "c", "d" };
	pthread_t threads[THREADS];
	int next[THREADS] = { 0 };

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_lines, names[i]), 0);
	for (int got = 0; got < THREADS * LINES;) {
		const char *line = next_event();
		char thread;
		int i;
		if (*line == '\0') {
			usleep(100);
			continue;
		}
		assert_int_equal(sscanf(line, "storm thread=%c i=%d", &thread, &i), 2);
		assert_int_equal(i, next[thread - 'a']++);
		got++;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

#define CAUGHT(test) cmocka_unit_test_setup_teardown(test, catch_stderr, release_stderr)

static void of_a_storm_one_line_is_written_and_the_others_counted(void **state)
{
	struct log_storm storm = { 0 };
	uint64_t held = 99;

	(void)state;
	assert_true(log_storm_pass(&storm, 1000, &held));
	assert_int_equal(held, 0);
	for (int i = 0; i < 4000; i++)
		assert_false(log_storm_pass(&storm, 1000 + (uint64_t)i, &held));
	assert_int_equal(log_storm_rest(&storm, 5000), 0); /* not yet */
	assert_int_equal(log_storm_rest(&storm, 1000 + LOG_STORM_MS), 4000);
	assert_false(log_storm_pass(&storm, 1001 + LOG_STORM_MS, &held));
	assert_true(log_storm_pass(&storm, 1000 + 2 * LOG_STORM_MS, &held));
	assert_int_equal(held, 1);
	assert_int_equal(log_storm_rest(&storm, 1000 + 4 * LOG_STORM_MS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAUGHT(a_line_is_time_level_event_fields),
		CAUGHT(levels_below_the_least_are_dropped),
		CAUGHT(values_are_quoted_where_needed),
		CAUGHT(control_characters_are_escaped),
		CAUGHT(an_error_is_fields_before_the_rest),
		CAUGHT(long_values_and_lines_are_cut),
		CAUGHT(json_has_the_same_event_and_fields),
		CAUGHT(json_values_are_escaped),
		CAUGHT(json_errors_are_fields),
		CAUGHT(json_that_is_cut_is_json),
		CAUGHT(errno_is_left_alone),
		CAUGHT(lines_of_threads_do_not_mix),
		cmocka_unit_test(of_a_storm_one_line_is_written_and_the_others_counted),
		CAUGHT(lines_can_be_diverted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
