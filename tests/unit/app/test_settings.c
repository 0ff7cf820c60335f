/* The table of settings: its own order, texts to values, and what is said of wrong ones. */
#include "unit.h"

#include "app/settings.h"
#include "base/duration.h"

static const struct setting *of(const char *key)
{
	const struct setting *s = setting_find(settings, setting_count, key);

	if (s == NULL)
		fail_msg("no setting '%s'", key);
	return s;
}

/* ---- the table ---- */

static void every_row_is_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		assert_true(s->about != NULL && s->about[0] != '\0');
		assert_ptr_equal(setting_find(settings, setting_count, s->key), s);
		if ((s->type == SETTING_CHOICE) != (s->words != NULL))
			fail_msg("%s: words belong to choices", s->key);
		for (size_t k = 0; k < i; k++)
			if (settings[k].at == s->at)
				fail_msg("%s and %s share a member", settings[k].key, s->key);
	}
}

static void every_default_is_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < upstream_setting_count; i++) {
		const char *const *text = upstream_settings[i].initial;
		if (text[PROFILE_KIMI] != text[PROFILE_OPENAI] ||
		    (text[PROFILE_KIMI] != NULL &&
		     !setting_allows(&upstream_settings[i], text[PROFILE_KIMI])))
			fail_msg("%s: default '%s'", upstream_settings[i].key, text[PROFILE_KIMI]);
	}
	for (size_t i = 0; i < setting_count; i++)
		for (int profile = PROFILE_KIMI; profile <= PROFILE_OPENAI; profile++) {
			const char *text = settings[i].initial[profile];
			bool may_lack = (settings[i].type == SETTING_TEXT ||
					 settings[i].type == SETTING_URL) &&
					settings[i].initial[PROFILE_KIMI] ==
						settings[i].initial[PROFILE_OPENAI];
			if (settings[i].type == SETTING_UPSTREAMS ||
			    settings[i].type == SETTING_WEBHOOKS ||
			    settings[i].type == SETTING_PRICES)
				assert_null(text);
			else if (text == NULL && may_lack)
				continue;
			else if (text == NULL || !setting_allows(&settings[i], text))
				fail_msg("%s: default '%s'", settings[i].key,
					 text != NULL ? text : "none");
		}
}

static void defaults_are_those_of_the_contract(void **state)
{
	static const struct {
		const char *key, *kimi, *openai;
	} contract[] = {
		/* 3.3: a server of one's own has its own disk */
		{ "limits.file_bytes", "8GB", "8GB" },
		{ "limits.org.files", "0", "0" },
		{ "limits.org.bytes", "0", "0" },
		{ "limits.lines_per_file", "0", "0" },
		{ "limits.inputs_per_file", "0", "0" },
		{ "limits.vendor", "false", "false" },
		{ "limits.line_bytes", "16MB", "16MB" },
		{ "limits.window_min", "12h", "24h" },
		{ "limits.window_max", "7d", "24h" },
		{ "validation.strict_lines", "false", "true" },
		{ "validation.missing_file", "refuse", "fail" },
		{ "retention.input_files", "0", "30d" },
		{ "retention.result_files", "0", "30d" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(contract); i++) {
		assert_string_equal(of(contract[i].key)->initial[PROFILE_KIMI], contract[i].kimi);
		assert_string_equal(of(contract[i].key)->initial[PROFILE_OPENAI],
				    contract[i].openai);
	}
}

/* 3.3, the table: what `limits.vendor` answers with. */
static void the_vendors_figures(void **state)
{
	static const struct {
		const char *key, *kimi, *openai;
	} contract[] = {
		{ "limits.file_bytes", "100MB", "200MB" },
		{ "limits.org.files", "1000", "0" },
		{ "limits.org.bytes", "10GB", "0" },
		{ "limits.lines_per_file", "0", "50000" },
		{ "limits.inputs_per_file", "0", "50000" },
	};
	size_t vendors = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(contract); i++) {
		const struct setting *s = of(contract[i].key);
		assert_string_equal(s->vendor[PROFILE_KIMI], contract[i].kimi);
		assert_string_equal(s->vendor[PROFILE_OPENAI], contract[i].openai);
		assert_true(setting_allows(s, contract[i].kimi));
		assert_true(setting_allows(s, contract[i].openai));
	}
	for (size_t i = 0; i < setting_count; i++) {
		const char *const *vendor = settings[i].vendor;
		assert_int_equal(vendor[PROFILE_KIMI] != NULL, vendor[PROFILE_OPENAI] != NULL);
		vendors += vendor[PROFILE_KIMI] != NULL;
	}
	assert_int_equal(vendors, ARRAY_LEN(contract));
}

/* ---- texts to values ---- */

static void assert_allows(const char *key, bool allowed, const char *const *texts)
{
	for (; *texts != NULL; texts++)
		if (setting_allows(of(key), *texts) != allowed)
			fail_msg("%s: '%s' is %s", key, *texts, allowed ? "refused" : "taken");
}

#define TEXTS(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static void amounts(void **state)
{
	(void)state;
	assert_allows("execution.concurrency", true, TEXTS("1", "32", "10000", "auto"));
	assert_allows("execution.concurrency", false,
		      TEXTS("", "0", "10001", "-1", "+1", "1.5", "1e3", "32 ", "3MB", "3B", "0x10",
			    "99999999999999999999", "many", "Auto", "auto "));
	assert_allows("execution.max_concurrency", false, TEXTS("0", "auto"));
	assert_allows("online.reserve", true, TEXTS("0", "10000", "auto"));
	assert_allows("limits.file_bytes", true, TEXTS("0", "1", "2097152", "100MB", "8GB", "1TB"));
	assert_allows("limits.file_bytes", false, TEXTS("", "ten", "1.5GB", "10 MB", "-1", "10mb"));
	assert_allows("execution.line_timeout", true, TEXTS("1s", "10m", "2h", "7d"));
	assert_allows("execution.line_timeout", false,
		      TEXTS("", "0", "0s", "30", "30 seconds", "8d", "1w", "1.5h", "-1s"));
	assert_allows("execution.drain", true, TEXTS("0", "0s", "30s"));
	assert_allows("retention.input_files", true, TEXTS("0", "30d", "4s"));
}

static const struct setting *of_upstream(const char *key)
{
	const struct setting *s = setting_find(upstream_settings, upstream_setting_count, key);

	if (s == NULL)
		fail_msg("no member '%s'", key);
	return s;
}

static void signed_numbers(void **state)
{
	static const char *const bad[] = { "",
					   "-",
					   "1000001",
					   "-1000001",
					   "+1",
					   "1.5",
					   "--1",
					   "- 1",
					   "1 ",
					   "auto",
					   "-0x1",
					   "-1KB",
					   "-99999999999999999999" };
	const struct setting *s = of_upstream("priority");
	int64_t number = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (setting_read(s, bad[i], &number))
			fail_msg("'%s' is taken", bad[i]);
	assert_int_equal(number, 5);
	assert_true(setting_read(s, "-1000000", &number));
	assert_int_equal(number, -1000000);
	assert_true(setting_read(s, "1000000", &number));
	assert_int_equal(number, 1000000);
	assert_true(setting_read(s, "0", &number));
	assert_int_equal(number, 0);
}

static void auto_is_an_amount_of_its_own(void **state)
{
	uint64_t amount = 0;

	(void)state;
	assert_true(setting_read(of("execution.concurrency"), "auto", &amount));
	assert_int_equal(amount, AMOUNT_AUTO);
}

static void values_are_the_same_however_written(void **state)
{
	static const struct {
		const char *key, *a, *b;
		bool same;
	} pairs[] = {
		{ "execution.line_timeout", "60s", "1m", true },
		{ "execution.line_timeout", "60s", "2m", false },
		{ "limits.file_bytes", "1024KB", "1MB", true },
		{ "execution.concurrency", "auto", "32", false },
		{ "listen", "localhost:1", "127.0.0.1:1", true },
		{ "listen", "127.0.0.1:1", "127.0.0.1:2", false },
		{ "data", "a", "a", true },
		{ "data", "a", "b", false },
		{ "profile", "kimi", "openai", false },
		{ "online.kimi_calls", "true", "false", false },
	};
	struct config a = { 0 }, b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const struct setting *s = of(pairs[i].key);
		assert_true(setting_read(s, pairs[i].a, setting_member(s, &a)));
		assert_true(setting_read(s, pairs[i].b, setting_member(s, &b)));
		if (setting_same(s, setting_member(s, &a), setting_member(s, &b)) != pairs[i].same)
			fail_msg("%s: %s and %s", pairs[i].key, pairs[i].a, pairs[i].b);
	}
	free(a.data);
	free(b.data);
}

static void words(void **state)
{
	(void)state;
	assert_allows("profile", true, TEXTS("kimi", "openai"));
	assert_allows("profile", false, TEXTS("", "Kimi", "claude", "kimi "));
	assert_allows("validation.first_line", true, TEXTS("true", "false"));
	assert_allows("validation.first_line", false, TEXTS("", "yes", "1", "True", "on"));
	assert_allows("data", true, TEXTS("/var/lib/lowtide", "a b"));
	assert_allows("data", false, TEXTS(""));
}

static void choices_follow_their_enums(void **state)
{
	struct config c = { 0 };

	(void)state;
	assert_true(setting_read(of("profile"), "openai", &c.profile));
	assert_int_equal(c.profile, PROFILE_OPENAI);
	assert_true(setting_read(of("validation.missing_file"), "fail", &c.missing_file));
	assert_int_equal(c.missing_file, MISSING_FILE_FAIL);
	assert_true(setting_read(of("log.level"), "off", &c.log_level));
	assert_int_equal(c.log_level, LOG_OFF);
	assert_true(setting_read(of("log.level"), "debug", &c.log_level));
	assert_int_equal(c.log_level, LOG_DEBUG);
	assert_true(setting_read(of("log.format"), "json", &c.log_format));
	assert_int_equal(c.log_format, LOG_FORMAT_JSON);
	assert_true(setting_read(of("log.format"), "text", &c.log_format));
	assert_int_equal(c.log_format, LOG_FORMAT_TEXT);
}

static void a_refused_text_changes_nothing(void **state)
{
	uint64_t amount = 7;

	(void)state;
	assert_false(setting_read(of("execution.concurrency"), "0", &amount));
	assert_int_equal(amount, 7);
}

/* ---- what is said ---- */

static void assert_described(const char *key, const char *expected)
{
	char text[256];

	setting_describe(of(key), text, sizeof(text));
	assert_string_equal(text, expected);
}

static void what_is_allowed_is_described(void **state)
{
	char text[256];

	(void)state;
	assert_described("execution.concurrency", "a whole number from 1 to 10000, or auto");
	assert_described("execution.max_concurrency", "a whole number from 1 to 10000");
	assert_described("online.reserve", "a whole number from 0 to 10000, or auto");
	assert_described("execution.line_timeout",
			 "a duration from 1s to 7d, such as 30s, 10m, 12h or 7d");
	assert_described("limits.file_bytes", "a size, such as 512KB, 16MB or 1GB, or 0: no limit");
	assert_described("limits.lines_per_file", "a whole number, or 0: no limit");
	assert_described("profile", "one of: kimi, openai");
	assert_described("validation.first_line", "true or false");
	setting_describe(of_upstream("priority"), text, sizeof(text));
	assert_string_equal(text, "a whole number from -1000000 to 1000000");
	setting_describe(of_upstream("metrics"), text, sizeof(text));
	assert_string_equal(text, "one of: auto, none, vllm, sglang, llamacpp");
}

static void assert_suggested(const char *wrong, const char *expected)
{
	char text[400];

	setting_suggest(settings, setting_count, wrong, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void keys_are_suggested(void **state)
{
	(void)state;
	assert_suggested("profil", "nearest: profile");
	assert_suggested("execution.concurency", "nearest: execution.concurrency");
	assert_suggested("executoin.drain", "nearest: execution.drain");
	/* the group forgotten, or a wrong one */
	assert_suggested("concurrency", "nearest: execution.concurrency");
	assert_suggested("execution.file_bytes", "nearest: limits.file_bytes, limits.line_bytes");
	/* nothing is like it: what there is in that group, or the groups */
	assert_suggested("retention.quux",
			 "allowed here: retention.input_files, retention.result_files, "
			 "retention.lost, retention.sweep");
	assert_suggested(
		"plugins",
		"allowed here: listen, data, store, role, profile, upstreams, prices, execution, online, "
		"limits, validation, retention, blobs, tls, webhooks, tracing, log");
	assert_suggested(
		"",
		"allowed here: listen, data, store, role, profile, upstreams, prices, execution, online, "
		"limits, validation, retention, blobs, tls, webhooks, tracing, log");
}

static void assert_variable_suggested(const char *wrong, const char *expected)
{
	char text[400];

	setting_suggest_variable(settings, setting_count, wrong, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void variables_are_suggested(void **state)
{
	(void)state;
	assert_variable_suggested("LOWTIDE_LISTN", "nearest: LOWTIDE_LISTEN");
	assert_variable_suggested("LOWTIDE_EXECUTION_CONCURENCY",
				  "nearest: LOWTIDE_EXECUTION_CONCURRENCY");
	assert_variable_suggested("LOWTIDE_UPSTREAM", "nearest: LOWTIDE_UPSTREAMS");
	assert_variable_suggested("LOWTIDE_", "no setting has it; lowtide.example.yaml shows all "
					      "settings");
	assert_variable_suggested("LOWTIDE_NOTHING_LIKE_THIS",
				  "no setting has it; lowtide.example.yaml shows all settings");
}

static void endless_keys_are_cut(void **state)
{
	char wrong[5000], text[60];

	(void)state;
	memset(wrong, 'x', sizeof(wrong) - 1);
	wrong[sizeof(wrong) - 1] = '\0';
	setting_suggest(settings, setting_count, wrong, text, sizeof(text));
	assert_int_equal(strlen(text), sizeof(text) - 1);
}

static void variables(void **state)
{
	char name[64];

	(void)state;
	setting_variable("execution.max_attempts", name, sizeof(name));
	assert_string_equal(name, "LOWTIDE_EXECUTION_MAX_ATTEMPTS");
	setting_variable("data", name, sizeof(name));
	assert_string_equal(name, "LOWTIDE_DATA");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_whole),
		cmocka_unit_test(every_default_is_allowed),
		cmocka_unit_test(defaults_are_those_of_the_contract),
		cmocka_unit_test(the_vendors_figures),
		cmocka_unit_test(amounts),
		cmocka_unit_test(signed_numbers),
		cmocka_unit_test(auto_is_an_amount_of_its_own),
		cmocka_unit_test(values_are_the_same_however_written),
		cmocka_unit_test(words),
		cmocka_unit_test(choices_follow_their_enums),
		cmocka_unit_test(a_refused_text_changes_nothing),
		cmocka_unit_test(what_is_allowed_is_described),
		cmocka_unit_test(keys_are_suggested),
		cmocka_unit_test(variables_are_suggested),
		cmocka_unit_test(endless_keys_are_cut),
		cmocka_unit_test(variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
