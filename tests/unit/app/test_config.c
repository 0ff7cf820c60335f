/* The configuration as a whole: layers, every kind of mistake with its place and its words, the
 * upstreams and their keys, and that lowtide.example.yaml has every setting with its default. */
#include "unit.h"

#include <ctype.h>

#include "app/config.h"
#include "app/settings.h"
#include "base/duration.h"

/* ---- a file and what comes of it ---- */

static char *scratch;
static char path[PATH_MAX];

static int scratch_make(void **state)
{
	(void)state;
	scratch = scratch_dir_new();
	snprintf(path, sizeof(path), "%s/c.yaml", scratch);
	return 0;
}

static int scratch_drop(void **state)
{
	(void)state;
	scratch_dir_remove(scratch);
	return 0;
}

static void write_file(const char *name, const char *text, size_t n)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

static void load_good(const char *text, struct config *ret)
{
	struct error err;

	write_file(path, text, strlen(text));
	if (!config_load(path, NULL, 0, ret, &err))
		fail_msg("refused: %s\n%s", err.message, text);
}

/* The message after the path, so "3: profile: ...". */
static void assert_mistake(const char *text, size_t n, const char *expected)
{
	struct config c;
	struct error err;

	write_file(path, text, n);
	if (config_load(path, NULL, 0, &c, &err))
		fail_msg("taken: %s", text);
	size_t path_n = strlen(path);
	assert_memory_equal(err.message, path, path_n);
	assert_int_equal(err.message[path_n], ':');
	const char *message = err.message + path_n + 1;
	if (strncmp(message, expected, strlen(expected)) != 0)
		fail_msg("said:     %s\nexpected: %s\nof:\n%s", message, expected, text);
	assert_int_equal(err.line, strtoull(expected, NULL, 10));
}

#define assert_mistakes(text, expected) assert_mistake(text, strlen(text), expected)

/* ---- defaults, layers ---- */

static void an_empty_file_is_all_defaults(void **state)
{
	static const char *const empty[] = {
		"", "\n", "# nothing\n", "---\n", "execution:\n", "execution: {}\nlimits: ~\n"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		struct config c;
		load_good(empty[i], &c);
		assert_string_equal(c.listen.host, "127.0.0.1");
		assert_int_equal(c.listen.port, 8000);
		assert_string_equal(c.data, "./lowtide-data");
		assert_int_equal(c.profile, PROFILE_KIMI);
		assert_int_equal(c.concurrency, AMOUNT_AUTO);
		assert_int_equal(c.max_concurrency, 1024);
		assert_int_equal(c.reserve, AMOUNT_AUTO);
		assert_false(c.kimi_calls);
		assert_int_equal(c.connections, 16384);
		assert_int_equal(c.line_timeout_s, 600);
		assert_int_equal(c.file_bytes, UINT64_C(8) << 30);
		assert_int_equal(c.upstream_count, 0);
		config_done(&c);
	}
}

static void the_profile_decides_defaults_wherever_it_stands(void **state)
{
	struct config c;

	(void)state;
	load_good("limits: {org: {files: 7}}\nprofile: openai\n", &c);
	assert_int_equal(c.file_bytes, UINT64_C(8) << 30);
	assert_int_equal(c.lines_per_file, 0);
	assert_int_equal(c.org_files, 7);
	assert_int_equal(c.input_files_s, 30 * 86400);
	assert_true(c.strict_lines);
	assert_int_equal(c.missing_file, MISSING_FILE_FAIL);
	config_done(&c);
}

/* Contract 3.3: the vendor's figures by profile, where no other is set; so judge server and
 * check. */
static void the_vendors_limits(void **state)
{
	struct config c;

	(void)state;
	load_good("limits: {vendor: true, org: {bytes: 5GB}}", &c);
	assert_int_equal(c.file_bytes, 100 << 20);
	assert_int_equal(c.org_files, 1000);
	assert_int_equal(c.org_bytes, UINT64_C(5) << 30);
	assert_int_equal(c.lines_per_file, 0);
	assert_true(config_is_default(&c, "limits.file_bytes"));
	config_done(&c);
	load_good("limits: {vendor: true, lines_per_file: 0}\nprofile: openai\n", &c);
	assert_int_equal(c.file_bytes, 200 << 20);
	assert_int_equal(c.org_files, 0);
	assert_int_equal(c.lines_per_file, 0);
	assert_int_equal(c.inputs_per_file, 50000);
	assert_int_equal(config_limits(&c).file_bytes, 200 << 20);
	assert_int_equal(config_limits(&c).profile, PROFILE_OPENAI);
	assert_int_equal(config_rules(&c).inputs_max, 50000);
	assert_int_equal(config_rules(&c).line_bytes, 16 << 20);
	assert_int_equal(config_api(&c).limits.file_bytes, 200 << 20);
	assert_int_equal(config_pipeline(&c).rules.inputs_max, 50000);
	config_done(&c);
}

static void flags_over_environment_over_file_over_defaults(void **state)
{
	static const struct config_flag flags[] = {
		{ "--set", "execution.concurrency", "4" },
		{ "--set", "execution.concurrency", "5" }, /* the last of two */
		{ "--listen", "listen", "127.0.0.1:9" },
	};
	static const char text[] =
		"listen: 127.0.0.1:7\nexecution: {concurrency: 2, max_attempts: 2, drain: 2s}\n";
	struct config c;
	struct error err;

	(void)state;
	write_file(path, text, strlen(text));
	setenv("LOWTIDE_EXECUTION_CONCURRENCY", "3", 1);
	setenv("LOWTIDE_EXECUTION_MAX_ATTEMPTS", "3", 1);
	assert_true(config_load(path, flags, ARRAY_LEN(flags), &c, &err));
	unsetenv("LOWTIDE_EXECUTION_CONCURRENCY");
	unsetenv("LOWTIDE_EXECUTION_MAX_ATTEMPTS");
	assert_int_equal(c.concurrency, 5);
	assert_int_equal(c.max_attempts, 3);
	assert_int_equal(c.drain_s, 2);
	assert_int_equal(c.response_bytes, 64 << 20);
	assert_int_equal(c.listen.port, 9);
	assert_false(config_is_default(&c, "execution.drain"));
	assert_true(config_is_default(&c, "execution.response_bytes"));
	config_done(&c);
}

/* ---- mistakes ---- */

static void unknown_keys(void **state)
{
	(void)state;
	assert_mistakes("profile: kimi\nprofil: kimi\n",
			"2: profil: there is no setting of that name; nearest: profile");
	assert_mistakes("execution:\n\n  concurency: 4\n",
			"3: execution.concurency: there is no setting of that name; nearest: "
			"execution.concurrency");
	assert_mistakes("executoin:\n  drain: 4s\n", "1: executoin: there is no setting");
	assert_mistakes("execution:\n  drain:\n    x: 1\n",
			"2: execution.drain: a group of settings is not a duration from 0s to 1d");
	assert_mistakes("1: 2\n", "1: 1: there is no setting of that name; allowed here: listen");
	assert_mistakes("? [a]\n: b\n", "1: a list: is not the name of a setting");
	assert_mistakes("upstreams:\n  - base: http://x\n",
			"2: base: there is no setting of that name; nearest: name");
}

static void wrong_values(void **state)
{
	(void)state;
	assert_mistakes("\nexecution:\n  concurrency: many\n",
			"3: execution.concurrency: 'many' is not a whole number from 1 to 10000, "
			"or auto");
	assert_mistakes("execution: {concurrency: [4]}",
			"1: execution.concurrency: a list is not a whole number from 1 to 10000");
	assert_mistakes("execution:\n  concurrency:\n",
			"2: execution.concurrency: an empty value is not a whole number");
	assert_mistakes("data: ''\n", "1: data: an empty value is not a text that is not empty");
	assert_mistakes("profile: claude", "1: profile: 'claude' is not one of: kimi, openai");
	assert_mistakes("execution:\n  line_timeout: 30\n",
			"2: execution.line_timeout: '30' is not a duration from 1s to 7d, such as "
			"30s, 10m, 12h or 7d");
	assert_mistakes("limits: {file_bytes: ten}",
			"1: limits.file_bytes: 'ten' is not a size, such as 512KB, 16MB or 1GB, or "
			"0: no limit");
	/* what is quoted stays on the line, and is no command to a terminal */
	assert_mistakes("listen: \"a\\e[31m\\nb\"\n",
			"1: listen: 'a?[31m?b' is not a numeric address");
	assert_mistakes("listen: everywhere",
			"1: listen: 'everywhere' is not a numeric address and a port");
	assert_mistakes("validation: {first_line: yes}",
			"1: validation.first_line: 'yes' is not true or false");
	assert_mistakes("execution: 5", "1: execution: this is a group");
	assert_mistakes("data: \"a\\0b\"", "1: data: a text with a NUL byte is not a text");
}

static void a_key_given_twice(void **state)
{
	(void)state;
	assert_mistakes("data: a\ndata: b\n", "2: data: given twice, first on line 1");
	assert_mistakes("log: {level: info}\nlog:\n  level: info\n",
			"3: log.level: given twice, first on line 1");
	assert_mistakes("upstreams:\n  - url: http://x\n    url: http://y\n",
			"3: url: given twice");
	assert_mistakes("upstreams:\n  - url: http://x\n    drain: false\n    drain: false\n",
			"4: drain: given twice");
	assert_mistakes("upstreams:\n  - url: http://x\n    models: [a]\n    models: [b]\n",
			"4: models: given twice");
	assert_mistakes("upstreams:\n- url: http://x\nupstreams:\n- url: http://y\n",
			"3: upstreams: given twice, first on line 1");
}

static void what_does_not_fit_together(void **state)
{
	(void)state;
	assert_mistakes("limits:\n  window_min: 8d\n",
			"2: limits.window_min: 8d is more than limits.window_max, which is 7d");
	assert_mistakes("limits:\n  window_max: 1h\n",
			"2: limits.window_max: 1h is less than limits.window_min, which is 12h");
}

static void what_is_no_yaml(void **state)
{
	(void)state;
	assert_mistakes("data: a\nlog: [1\n", "3: this is not YAML: ");
	assert_mistakes("data: a\n\tlisten: x\n", "2: this is not YAML: ");
	assert_mistakes("a: b: c\n", "1: this is not YAML: ");
	assert_mistakes("- a\n- b\n", "1: the file: a list where settings should stand");
	assert_mistakes("just text\n", "1: the file: a text where settings should stand");
	assert_mistake("\0", 1, "1: this is not YAML: ");
	assert_mistakes("data: \xff\n", "1: this is not YAML: ");
}

static void a_file_that_is_not_there(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	assert_false(config_load("/no/such/c.yaml", NULL, 0, &c, &err));
	assert_string_equal(err.message, "cannot read the configuration /no/such/c.yaml: "
					 "No such file or directory");
	assert_false(config_load("/", NULL, 0, &c, &err));
	assert_string_equal(err.message, "cannot read the configuration /: Is a directory");
}

static void mistakes_in_flags_and_environment(void **state)
{
	static const struct {
		struct config_flag flag;
		const char *expected;
	} mistakes[] = {
		{ { "--set", "execution.concurrency", "0" },
		  "--set execution.concurrency: '0' is not a whole number from 1 to 10000" },
		{ { "--set", "no.such", "1" },
		  "--set no.such: there is no setting of that name; " },
		{ { "--set", "", "1" },
		  "--set : there is no setting of that name; allowed here: " },
		{ { "--profile", "profile", "x" }, "--profile: 'x' is not one of: kimi, openai" },
		{ { "--upstream", "upstreams", "not a url" },
		  "--upstream: 'not a url' is not a URL with http or https, a host" },
	};
	struct config c;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		assert_false(config_load(NULL, &mistakes[i].flag, 1, &c, &err));
		if (strncmp(err.message, mistakes[i].expected, strlen(mistakes[i].expected)) != 0)
			fail_msg("said: %s", err.message);
	}
	setenv("LOWTIDE_LISTEN", "nowhere", 1);
	assert_false(config_load(NULL, NULL, 0, &c, &err));
	unsetenv("LOWTIDE_LISTEN");
	assert_memory_equal(err.message, "LOWTIDE_LISTEN in the environment: 'nowhere' is not ",
			    50);
}

static void long_mistakes_are_cut(void **state)
{
	static const char before[] = "data: a\nprofile: ";
	char *text = malloc(100000);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', 100000);
	memcpy(text, before, strlen(before));
	assert_mistake(text, 100000, "2: profile: 'xxxxxxxxxx");
	memset(text, 'x', 100000);
	memcpy(text + 600, ": a\n", 4);
	assert_mistake(text, 604, "1: xxxxxxxxxx");
	free(text);
}

/* ---- upstreams ---- */

static void upstreams_of_the_file(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	load_good("execution: {concurrency: 9}\n"
		  "upstreams:\n"
		  "  - name: one\n"
		  "    url: http://127.0.0.1:1/v1/\n"
		  "    models: [a, b]\n"
		  "    concurrency: 3\n"
		  "  - {name: two, url: 'https://x', models: [c]}\n",
		  &c);
	assert_true(config_read_keys(&c, &err));
	struct pipeline_config p = config_pipeline(&c);
	assert_int_equal(p.upstream_count, 2);
	assert_string_equal(p.upstreams[0].name, "one");
	assert_string_equal(p.upstreams[0].base_url, "http://127.0.0.1:1/v1");
	assert_string_equal(p.upstreams[0].models[1], "b");
	assert_null(p.upstreams[0].models[2]);
	assert_int_equal(p.upstreams[0].concurrency, 3);
	assert_null(p.upstreams[0].api_key);
	assert_string_equal(p.upstreams[1].name, "two");
	assert_int_equal(p.upstreams[1].concurrency, 9);
	assert_int_equal(p.upstreams[1].max_concurrency, 1024);
	config_done(&c);
}

static void every_member_of_an_upstream_arrives(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	load_good("online: {reserve: 4}\n"
		  "upstreams:\n"
		  "  - url: http://a\n"
		  "  - url: http://b\n"
		  "    weight: 3\n"
		  "    max_concurrency: 77\n"
		  "    requests_per_minute: 60\n"
		  "    tokens_per_minute: 90000\n"
		  "    metrics: sglang\n"
		  "    priority: -5\n"
		  "    drain: true\n"
		  "  - {url: 'http://c', priority: 0, concurrency: 5}\n",
		  &c);
	assert_true(config_read_keys(&c, &err));
	const struct upstream_config *u = config_pipeline(&c).upstreams;
	assert_string_equal(u[0].name, "default");
	assert_true(u[0].weight == 1 && u[0].concurrency == 0 && u[0].max_concurrency == 1024);
	assert_true(u[0].requests_per_minute == 0 && u[0].tokens_per_minute == 0);
	assert_true(u[0].metrics == GAUGES_AUTO && !u[0].has_priority && !u[0].drain);
	assert_int_equal(u[0].reserve, 4);
	assert_string_equal(u[1].name, "upstream-2");
	assert_true(u[1].weight == 3 && u[1].concurrency == 0 && u[1].max_concurrency == 77);
	assert_true(u[1].requests_per_minute == 60 && u[1].tokens_per_minute == 90000);
	assert_true(u[1].metrics == GAUGES_SGLANG && u[1].has_priority && u[1].drain);
	assert_int_equal(u[1].priority, -5);
	assert_true(u[2].has_priority && u[2].priority == 0 && u[2].concurrency == 5);
	config_done(&c);
	load_good("upstreams: [{url: 'http://a'}]", &c);
	assert_true(config_read_keys(&c, &err));
	assert_int_equal(config_pipeline(&c).upstreams[0].reserve, -1);
	config_done(&c);
}

/* Its own, or what is said for all; the files are read later, see tests/e2e/test_tls.py. */
static void certificates_of_an_upstream(void **state)
{
	struct config c;

	(void)state;
	load_good("tls: {ca_file: /all/ca}\n"
		  "upstreams:\n"
		  "  - url: https://a\n"
		  "    tls:\n"
		  "      ca_file: /a/ca\n"
		  "      cert_file: /a/cert\n"
		  "      key_file: /a/key\n"
		  "  - url: https://b\n"
		  "    tls:\n"
		  "  - {url: 'http://c', weight: 2}\n",
		  &c);
	assert_string_equal(c.ca_file, "/all/ca");
	assert_null(c.cert_file);
	assert_string_equal(c.upstreams[0].ca_file, "/a/ca");
	assert_string_equal(c.upstreams[0].cert_file, "/a/cert");
	assert_string_equal(c.upstreams[0].key_file, "/a/key");
	assert_null(c.upstreams[1].ca_file);
	config_done(&c);
	assert_mistakes("upstreams:\n  - url: https://a\n    tls: x\n",
			"3: tls: this is a group: its settings stand below it, indented");
	assert_mistakes("upstreams:\n  - url: https://a\n    tls: {ca_fil: x}\n",
			"3: tls.ca_fil: there is no setting of that name; nearest: tls.ca_file");
	assert_mistakes("upstreams:\n  - url: https://a\n    tls: {ca_file: x, ca_file: y}\n",
			"3: tls.ca_file: given twice");
	assert_mistakes("upstreams:\n  - url: http://a\n    tls: {ca_file: x}\n",
			"2: tls.ca_file: http://a is not https: it has no certificates");
}

/* A fixed number may be over the default of the most, but not over one that was chosen. */
static void widths_fit_together(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	load_good("{execution: {concurrency: 5000}, upstreams: [{url: 'http://a'},"
		  " {url: 'http://b', concurrency: auto}]}",
		  &c);
	assert_true(config_read_keys(&c, &err));
	const struct upstream_config *u = config_pipeline(&c).upstreams;
	assert_true(u[0].concurrency == 5000 && u[0].max_concurrency == 5000);
	assert_true(u[1].concurrency == 0 && u[1].max_concurrency == 1024);
	config_done(&c);
	assert_mistakes("execution: {max_concurrency: 8}\nupstreams:\n"
			"  - {url: 'http://a', concurrency: 9}\n",
			"3: upstreams: the concurrency of 'default', 9, is more than its "
			"max_concurrency, which is 8");
	assert_mistakes("execution: {concurrency: 9}\nupstreams:\n"
			"  - {url: 'http://a', max_concurrency: 8}\n",
			"3: upstreams: the concurrency of 'default', 9, is more");
}

static void the_reserve_leaves_something_for_batches(void **state)
{
	(void)state;
	assert_mistakes(
		"upstreams:\n  - {url: 'http://a', concurrency: 4}\n"
		"online:\n  reserve: 4\n",
		"4: online.reserve: 4 leaves nothing for batches: at most 4 requests are in "
		"flight to 'default'");
	assert_mistakes("online: {reserve: 2000}\nupstreams: [{url: 'http://a'}]\n",
			"1: online.reserve: 2000 leaves nothing for batches: at most 1024");
}

static void one_upstream_by_url(void **state)
{
	static const struct config_flag flag = { "--upstream", "upstreams", "http://flag/v1" };
	struct config c;
	struct error err;

	(void)state;
	write_file(path, "upstreams: [{url: 'http://file/v1', models: [a]}]", 49);
	setenv("LOWTIDE_UPSTREAMS", "http://environment/v1", 1);
	assert_true(config_load(path, NULL, 0, &c, &err));
	assert_int_equal(c.upstream_count, 1);
	assert_string_equal(c.upstreams[0].url, "http://environment/v1");
	config_done(&c);
	assert_true(config_load(path, &flag, 1, &c, &err));
	unsetenv("LOWTIDE_UPSTREAMS");
	assert_int_equal(c.upstream_count, 1);
	assert_string_equal(c.upstreams[0].url, "http://flag/v1");
	assert_string_equal(c.upstreams[0].name, "default");
	assert_null(c.upstreams[0].models);
	config_done(&c);
}

static void assert_urls(const struct config *c, size_t n, const char *const *urls)
{
	static const char *const names[] = { "default", "upstream-2", "upstream-3" };

	assert_int_equal(c->upstream_count, n);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(c->upstreams[i].url, urls[i]);
		assert_string_equal(c->upstreams[i].name, names[i]);
	}
}

static void several_upstreams_by_url(void **state)
{
	static const char *const urls[] = { "http://a/v1", "http://b/v1", "http://c/v1" };
	static const struct config_flag flags[] = { { "--upstream", "upstreams", "http://a/v1" },
						    { "--upstream", "upstreams", "http://b/v1/" } };
	static const char *const texts[] = { "http://a/v1,http://b/v1,http://c/v1",
					     " http://a/v1 http://b/v1, http://c/v1, " };
	struct config c;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		setenv("LOWTIDE_UPSTREAMS", texts[i], 1);
		assert_true(config_load(NULL, NULL, 0, &c, &err));
		assert_urls(&c, 3, urls);
		config_done(&c);
	}
	/* flags take the place of what the environment says */
	assert_true(config_load(NULL, flags, 2, &c, &err));
	assert_urls(&c, 2, urls);
	config_done(&c);
	setenv("LOWTIDE_UPSTREAMS", "http://a/v1 ftp://b", 1);
	assert_false(config_load(NULL, NULL, 0, &c, &err));
	assert_non_null(strstr(err.message, "LOWTIDE_UPSTREAMS in the environment: 'ftp://b' is "
					    "not a URL"));
	setenv("LOWTIDE_UPSTREAMS", " ,", 1);
	assert_false(config_load(NULL, NULL, 0, &c, &err));
	assert_non_null(strstr(err.message, "an empty value is not a URL"));
	unsetenv("LOWTIDE_UPSTREAMS");
}

static void mistakes_in_upstreams(void **state)
{
	(void)state;
	assert_mistakes("upstreams:\n  - name: a\n", "2: upstreams: this entry has no url");
	assert_mistakes("upstreams:\n  - http://x\n",
			"2: upstreams: an entry of the list is a group with at least a url");
	assert_mistakes("upstreams: http://x\n",
			"1: upstreams: 'http://x' is not a list of upstreams");
	assert_mistakes("upstreams: {url: 'http://x'}\n",
			"1: upstreams: a group of settings is not a list of upstreams");
	assert_mistakes("upstreams:\n  - url: ftp://x\n",
			"2: url: 'ftp://x' is not a URL with http or https");
	assert_mistakes("upstreams:\n  - url: http://x\n    models: a\n",
			"3: models: 'a' is not a list of names");
	assert_mistakes("upstreams:\n  - url: http://x\n    models: []\n",
			"3: models: an empty list is not a list of names");
	assert_mistakes("upstreams:\n  - url: http://x\n    models: [a, '']\n",
			"3: models: a name in this list is missing");
	assert_mistakes("upstreams:\n  - url: http://x\n    models: [[a]]\n",
			"3: models: a name in this list is missing");
	assert_mistakes("upstreams:\n  - url: http://x\n    concurrency: 0\n",
			"3: concurrency: '0' is not a whole number from 1 to 10000, or auto");
	assert_mistakes("upstreams:\n  - url: http://x\n    weight: 0\n",
			"3: weight: '0' is not a whole number from 1 to 1000");
	assert_mistakes("upstreams:\n  - url: http://x\n    weight: auto\n",
			"3: weight: 'auto' is not a whole number from 1 to 1000");
	assert_mistakes("upstreams:\n  - url: http://x\n    tokens_per_minute: -1\n",
			"3: tokens_per_minute: '-1' is not a whole number, or 0: no limit");
	assert_mistakes("upstreams:\n  - url: http://x\n    metrics: yes\n",
			"3: metrics: 'yes' is not one of: auto, none, vllm, sglang, llamacpp");
	assert_mistakes("upstreams:\n  - url: http://x\n    priority: -1000001\n",
			"3: priority: '-1000001' is not a whole number from -1000000 to 1000000");
	assert_mistakes("upstreams:\n  - url: http://x\n    drain: 1\n",
			"3: drain: '1' is not true or false");
	assert_mistakes("upstreams:\n  - {url: 'http://x', api_key_env: A, api_key_file: b}\n",
			"2: upstreams: the key comes from api_key_env or from api_key_file");
}

static void names_are_unique_and_models_need_not_be(void **state)
{
	struct config c;

	(void)state;
	assert_mistakes("upstreams:\n  - {name: x, url: 'http://x'}\n"
			"  - {name: x, url: 'http://y'}\n",
			"3: upstreams: the name 'x' is taken");
	assert_mistakes("upstreams:\n  - {name: upstream-2, url: 'http://x'}\n"
			"  - {url: 'http://y'}\n",
			"3: upstreams: the name 'upstream-2' is taken");
	load_good("upstreams:\n  - {name: x, url: 'http://x', models: [a, b]}\n"
		  "  - {name: y, url: 'http://y', models: [b]}\n"
		  "  - {name: z, url: 'http://x'}\n",
		  &c);
	assert_int_equal(c.upstream_count, 3);
	config_done(&c);
}

/* Aliases that lead back to where they stand are walked no deeper than the table is. */
static void yaml_that_contains_itself(void **state)
{
	(void)state;
	assert_mistakes("upstreams: &a\n  - *a\n", "1: upstreams: an entry of the list is a group");
	assert_mistakes("execution: &a\n  drain: *a\n", "2: execution.drain: a group of settings");
}

/* ---- keys of the upstreams ---- */

static void assert_key(const char *text, const char *key, const char *message)
{
	struct config c;
	struct error err;

	load_good(text, &c);
	bool good = config_read_keys(&c, &err);
	if (good && key != NULL)
		assert_string_equal(config_pipeline(&c).upstreams[0].api_key, key);
	else if (good)
		fail_msg("taken: %s", text);
	else if (key != NULL || strstr(err.message, message) == NULL)
		fail_msg("said: %s", err.message);
	else
		assert_null(strstr(err.message, "sk-secret"));
	config_done(&c);
}

static void keys_come_from_environment_or_file(void **state)
{
	char in_file[2 * PATH_MAX], key_path[PATH_MAX];

	(void)state;
	snprintf(key_path, sizeof(key_path), "%s/key", scratch);
	snprintf(in_file, sizeof(in_file), "upstreams:\n- {url: 'http://x', api_key_file: %s}\n",
		 key_path);
	static const char in_variable[] =
		"upstreams:\n- {url: 'http://x', api_key_env: UPSTREAM_TEST_KEY}\n";

	assert_key(in_file, NULL, "cannot read");
	write_file(key_path, "sk-secret-1\n", 12);
	assert_key(in_file, "sk-secret-1", NULL);
	write_file(key_path, "sk-secret\nsk-secret\n", 20);
	assert_key(in_file, NULL, "does not hold a key alone on one line");
	write_file(key_path, "\n", 1);
	assert_key(in_file, NULL, "does not hold a key alone on one line");
	write_file(key_path, "sk-secret\0x", 11);
	assert_key(in_file, NULL, "does not hold a key alone on one line");

	assert_key(in_variable, NULL, "the environment variable UPSTREAM_TEST_KEY is not set");
	setenv("UPSTREAM_TEST_KEY", "sk-secret 2", 1);
	assert_key(in_variable, NULL, "is no key");
	setenv("UPSTREAM_TEST_KEY", "sk-secret-2", 1);
	assert_key(in_variable, "sk-secret-2", NULL);
	unsetenv("UPSTREAM_TEST_KEY");
}

static void an_upstream_by_url_has_its_key_in_a_variable(void **state)
{
	static const struct config_flag flag = { "--upstream", "upstreams", "http://x/v1" };
	struct config c;
	struct error err;

	(void)state;
	setenv(UPSTREAM_KEY_VARIABLE, "sk-secret-3", 1);
	assert_true(config_load(NULL, &flag, 1, &c, &err));
	assert_true(config_read_keys(&c, &err));
	unsetenv(UPSTREAM_KEY_VARIABLE);
	assert_string_equal(config_pipeline(&c).upstreams[0].api_key, "sk-secret-3");
	config_done(&c);
}

static void a_printed_config_holds_no_key(void **state)
{
	char *text = NULL;
	size_t n = 0;
	struct config c;
	struct error err;

	(void)state;
	setenv("UPSTREAM_TEST_KEY", "sk-secret-4", 1);
	load_good("upstreams:\n- {url: 'http://x', api_key_env: UPSTREAM_TEST_KEY}\n", &c);
	assert_true(config_read_keys(&c, &err));
	unsetenv("UPSTREAM_TEST_KEY");
	FILE *to = open_memstream(&text, &n);
	config_print(&c, to);
	fclose(to);
	assert_null(strstr(text, "sk-secret"));
	assert_non_null(strstr(text, "default: http://x, key: UPSTREAM_TEST_KEY, models: any, "
				     "concurrency: auto, at most 1024\n"));
	assert_non_null(strstr(text, "execution.concurrency: auto  # default\n"));
	free(text);
	config_done(&c);
}

/* ---- windows ---- */

static struct window_rule windows_of(const char *text)
{
	struct config c;

	load_good(text, &c);
	struct window_rule rule = config_windows(&c);
	config_done(&c);
	return rule;
}

static void windows(void **state)
{
	struct window_rule rule;

	(void)state;
	rule = windows_of("");
	assert_int_equal(rule.min_s, 12 * 3600);
	assert_int_equal(rule.max_s, 7 * 86400);
	assert_false(rule.seconds_and_minutes || rule.only_24h);
	rule = windows_of("limits: {window_min: 30s}");
	assert_true(rule.seconds_and_minutes);
	rule = windows_of("profile: openai");
	assert_true(rule.only_24h);
	rule = windows_of("{profile: openai, limits: {window_max: 7d}}");
	assert_false(rule.only_24h || rule.seconds_and_minutes);
	assert_int_equal(rule.min_s, 86400);
	rule = windows_of("{profile: openai, limits: {window_min: 1s}}");
	assert_true(!rule.only_24h && rule.seconds_and_minutes);
}

/* ---- webhooks.endpoints (contract 12) ---- */

#define SECRET "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="

static void endpoints_of_webhooks(void **state)
{
	struct config c, other;
	struct error err;

	(void)state;
	setenv("HOOK_SECRET", SECRET, 1);
	load_good("webhooks:\n"
		  "  endpoints:\n"
		  "    - {name: one, url: 'https://example.com/x?token=1', secret: " SECRET "}\n"
		  "    - name: two-2\n"
		  "      url: https://example.org\n"
		  "      org: ours\n"
		  "      event_types: [batch.failed, batch.expired]\n"
		  "      secret_env: HOOK_SECRET\n",
		  &c);
	assert_true(config_read_keys(&c, &err));
	struct webhooks_config w = config_webhooks(&c);
	assert_int_equal(w.endpoint_count, 2);
	assert_string_equal(w.endpoints[0].id, "we_config_one");
	assert_string_equal(w.endpoints[0].org, "");
	assert_string_equal(w.endpoints[0].url, "https://example.com/x?token=1");
	assert_string_equal(w.endpoints[0].secret, SECRET);
	assert_int_equal(w.endpoints[0].event_types, WEBHOOK_ALL_TYPES);
	assert_string_equal(w.endpoints[1].org, "ours");
	assert_string_equal(w.endpoints[1].secret, SECRET);
	assert_int_equal(w.endpoints[1].event_types, 1u << BATCH_FAILED | 1u << BATCH_EXPIRED);
	load_good("webhooks: {endpoints: [{name: one, url: 'https://x.example', secret: " SECRET
		  "}]}",
		  &other);
	assert_true(config_read_keys(&other, &err));
	assert_true(config_webhooks_same(&c, &c));
	assert_false(config_webhooks_same(&c, &other));
	config_done(&other);
	/* printed without the secrets and the query */
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	config_print(&c, to);
	fclose(to);
	assert_null(strstr(text, "Rdva"));
	assert_null(strstr(text, "token=1"));
	assert_non_null(strstr(text, "  one: https://example.com/x, org: any, secret: given here"));
	assert_non_null(strstr(text, "two-2: https://example.org, org: ours, secret: HOOK_SECRET"));
	free(text);
	config_done(&c);
	unsetenv("HOOK_SECRET");
}

#define HOOK(members) "webhooks:\n  endpoints:\n    - {" members "}\n"

static void mistakes_in_endpoints_of_webhooks(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ HOOK("url: 'https://a.b', secret: " SECRET),
		  "3: webhooks.endpoints: this entry has no name" },
		{ HOOK("name: a b, url: 'https://a.b', secret: " SECRET),
		  "3: webhooks.endpoints: 'a b' is no name" },
		{ HOOK("name: a, secret: " SECRET),
		  "3: webhooks.endpoints: this entry has no url" },
		{ HOOK("name: a, url: 'http://a.b', secret: " SECRET),
		  "3: webhooks.endpoints: the url of 'a': it does not begin with https" },
		{ HOOK("name: a, url: 'https://10.0.0.1', secret: " SECRET),
		  "3: webhooks.endpoints: the url of 'a': its address is private" },
		{ HOOK("name: a, url: 'https://a.b'"),
		  "3: webhooks.endpoints: the secret of 'a' comes from one of" },
		{ HOOK("name: a, url: 'https://a.b', secret: x, secret_env: Y"),
		  "3: webhooks.endpoints: the secret of 'a' comes from one of" },
		{ HOOK("name: a, url: 'https://a.b', secret: x, event_types: [batch.done]"),
		  "3: webhooks.endpoints: 'batch.done' is no type" },
		{ HOOK("name: a, url: 'https://a.b', secret: x, event_types: batch.failed"),
		  "3: event_types: 'batch.failed' is not a list" },
		{ HOOK("name: a, urls: b"), "3: urls: there is no setting of that name" },
		{ "webhooks:\n  endpoints: x\n",
		  "2: webhooks.endpoints: 'x' is not a list of endpoints" },
		{ "webhooks:\n  endpoints: [x]\n",
		  "2: webhooks.endpoints: an entry of the list is a group with at least a name" },
	};
	struct config c;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_mistakes(cases[i].text, cases[i].expected);
	load_good(HOOK("name: a, url: 'https://a.b', secret: geheim"), &c);
	assert_false(config_read_keys(&c, &err));
	assert_non_null(strstr(err.message, "is not whsec_"));
	assert_null(strstr(err.message, "geheim"));
	config_done(&c);
	load_good(
		"webhooks: {allow_private: true, endpoints: [{name: a, url: 'http://10.0.0.1/x', secret: " SECRET
		"}]}",
		&c);
	assert_true(config_read_keys(&c, &err));
	config_done(&c);
}

/* ---- the example file ---- */

static char *example_read(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = fopen(EXAMPLE_FILE, "r");

	assert_non_null(file);
	assert_true(getdelim(&text, &size, '\0', file) > 0);
	fclose(file);
	return text;
}

/* Takes the `#` from the lines that are settings commented out: prose has a blank after it. */
static void uncomment(char *text)
{
	for (char *line = text; line != NULL && *line != '\0';) {
		char *p = line + strspn(line, " ");
		if (p[0] == '#' && (isalpha((unsigned char)p[1]) || p[1] == '-'))
			memmove(p, p + 1, strlen(p));
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
}

/* The line of the example that sets the last part of `key`, within its groups. */
static const char *example_line(const char *text, const char *key)
{
	const char *name = key, *dot;
	int indent = 0;
	char head[64];

	for (; (dot = strchr(name, '.')) != NULL; name = dot + 1, indent += 2) {
		snprintf(head, sizeof(head), "\n%*s%.*s:\n", indent, "", (int)(dot - name), name);
		text = strstr(text, head);
		assert_non_null(text);
		text += strlen(head) - 1;
	}
	snprintf(head, sizeof(head), "\n%*s%s:", indent, "", name);
	text = strstr(text, head);
	if (text == NULL)
		fail_msg("%s is not in " EXAMPLE_FILE, key);
	return text + 1;
}

static void assert_vendors_figures(const char *line, const struct setting *s)
{
	char figures[96];

	snprintf(figures, sizeof(figures), "# limits.vendor: kimi %s, openai %s\n",
		 s->vendor[PROFILE_KIMI], s->vendor[PROFILE_OPENAI]);
	const char *said = strstr(line, figures);
	if (said == NULL || said > strchr(line, '\n'))
		fail_msg("%s lacks '%s'", s->key, figures);
}

static void the_example_has_every_setting_with_its_default(void **state)
{
	char *text = example_read();
	char openai[64];

	(void)state;
	uncomment(text);
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		if (s->type == SETTING_UPSTREAMS || s->type == SETTING_PRICES ||
		    s->type == SETTING_WEBHOOKS)
			continue;
		const char *line = example_line(text, s->key);
		const char *value = strchr(line, ':') + 2;
		const char *kimi = s->initial[PROFILE_KIMI];
		if (kimi == NULL) /* it has none: the example shows what one looks like */
			continue;
		if (strncmp(value, kimi, strlen(kimi)) != 0 ||
		    strchr(" \n", value[strlen(kimi)]) == NULL)
			fail_msg("%s is %s by default, not %.20s", s->key, kimi, value);
		if (s->vendor[PROFILE_KIMI] != NULL)
			assert_vendors_figures(line, s);
		if (strcmp(kimi, s->initial[PROFILE_OPENAI]) == 0)
			continue;
		snprintf(openai, sizeof(openai), "# openai: %s\n", s->initial[PROFILE_OPENAI]);
		const char *said = strstr(line, openai);
		if (said == NULL || said > strchr(line, '\n'))
			fail_msg("%s lacks '%s'", s->key, openai);
	}
	for (size_t i = 0; i < upstream_setting_count; i++) {
		char member[64];
		const char *dot = strchr(upstream_settings[i].key, '.');
		snprintf(member, sizeof(member), "%s%s: ", dot != NULL ? "      " : "",
			 dot != NULL ? dot + 1 : upstream_settings[i].key);
		if (strstr(text, member) == NULL)
			fail_msg("upstreams: %s is not in the example", upstream_settings[i].key);
	}
	for (size_t i = 0; i < webhook_setting_count; i++) {
		char member[64];
		snprintf(member, sizeof(member), "%s: ", webhook_settings[i].key);
		const char *webhooks = strstr(text, "\nwebhooks:\n");
		assert_non_null(webhooks);
		if (strstr(webhooks, member) == NULL)
			fail_msg("webhooks: %s is not in the example", webhook_settings[i].key);
	}
	free(text);
}

static void the_example_is_good_in_both_profiles(void **state)
{
	static const struct config_flag openai = { "--profile", "profile", "openai" };
	struct config c;
	struct error err;

	(void)state;
	for (size_t flags = 0; flags <= 1; flags++) {
		if (!config_load(EXAMPLE_FILE, &openai, flags, &c, &err))
			fail_msg("%s", err.message);
		assert_true(config_read_keys(&c, &err));
		assert_int_equal(c.upstream_count, 1);
		/* what depends on the profile is commented out, so it follows the profile */
		assert_int_equal(c.input_files_s, flags == 0 ? 0 : 30 * 86400);
		config_done(&c);
	}
}

/* What is commented out is written as it would be taken. */
static void the_example_is_good_without_its_comments(void **state)
{
	char *text = example_read();
	char *file_key;
	struct config c;

	(void)state;
	uncomment(text);
	file_key = strstr(text, "api_key_file:"); /* of the two places for the key one */
	assert_non_null(file_key);
	*file_key = '#';
	for (int i = 0; i < 2; i++) { /* of the three places for the secret one */
		char *other = strstr(text, i == 0 ? "secret_env:" : "secret_file:");
		assert_non_null(other);
		*other = '#';
	}
	char *url = strstr(text, "http://127.0.0.1:8080/v1\n"); /* which has no certificates */
	assert_non_null(url);
	memcpy(url, "https://127.0.0.1:8080/v", 24);
	load_good(text, &c);
	assert_string_equal(c.upstreams[0].ca_file, "/etc/lowtide/company-ca.pem");
	assert_string_equal(c.upstreams[0].api_key_env, "UPSTREAM_API_KEY");
	assert_non_null(c.upstreams[0].models);
	assert_int_equal(c.webhook_count, 1);
	for (size_t i = 0; i < setting_count; i++)
		assert_false(config_is_default(&c, settings[i].key));
	config_done(&c);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_is_all_defaults),
		cmocka_unit_test(the_profile_decides_defaults_wherever_it_stands),
		cmocka_unit_test(the_vendors_limits),
		cmocka_unit_test(flags_over_environment_over_file_over_defaults),
		cmocka_unit_test(unknown_keys),
		cmocka_unit_test(wrong_values),
		cmocka_unit_test(a_key_given_twice),
		cmocka_unit_test(what_does_not_fit_together),
		cmocka_unit_test(what_is_no_yaml),
		cmocka_unit_test(a_file_that_is_not_there),
		cmocka_unit_test(mistakes_in_flags_and_environment),
		cmocka_unit_test(long_mistakes_are_cut),
		cmocka_unit_test(upstreams_of_the_file),
		cmocka_unit_test(every_member_of_an_upstream_arrives),
		cmocka_unit_test(certificates_of_an_upstream),
		cmocka_unit_test(widths_fit_together),
		cmocka_unit_test(the_reserve_leaves_something_for_batches),
		cmocka_unit_test(one_upstream_by_url),
		cmocka_unit_test(several_upstreams_by_url),
		cmocka_unit_test(mistakes_in_upstreams),
		cmocka_unit_test(names_are_unique_and_models_need_not_be),
		cmocka_unit_test(yaml_that_contains_itself),
		cmocka_unit_test(keys_come_from_environment_or_file),
		cmocka_unit_test(an_upstream_by_url_has_its_key_in_a_variable),
		cmocka_unit_test(a_printed_config_holds_no_key),
		cmocka_unit_test(windows),
		cmocka_unit_test(endpoints_of_webhooks),
		cmocka_unit_test(mistakes_in_endpoints_of_webhooks),
		cmocka_unit_test(the_example_has_every_setting_with_its_default),
		cmocka_unit_test(the_example_is_good_in_both_profiles),
		cmocka_unit_test(the_example_is_good_without_its_comments),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_drop);
}
