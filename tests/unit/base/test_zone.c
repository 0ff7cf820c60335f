/* Zones: the same offsets as libc's, by the files of the tz database and by their rules. */
#include "unit.h"

#include <time.h>

#include "base/zone.h"

static const char *const names[] = {
	"Europe/Berlin", "America/New_York",  "Australia/Lord_Howe",  "Asia/Kolkata",
	"Europe/Dublin", "America/St_Johns",  "Pacific/Apia",         "Africa/Casablanca",
	"Asia/Tehran",   "America/Sao_Paulo", "Antarctica/Troll",     "Pacific/Chatham",
	"Etc/UTC",       "Etc/GMT+7",         "America/Scoresbysund", "Asia/Shanghai",
	"America/Nuuk",  "Asia/Gaza",         "Australia/Sydney",     "America/Asuncion",
};

static uint64_t seed = 1;

static uint64_t any(uint64_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return below > 0 ? (seed >> 20) % below : 0;
}

static const struct zone *zone_of(const char *name)
{
	const struct zone *z;
	struct error err;
	bool known;

	assert_true(zone_find(name, &z, &known, &err));
	return known ? z : NULL;
}

/* libc in this process alone: no other thread is there to see TZ change. */
static int64_t libc_offset_s(int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm;

	assert_non_null(localtime_r(&t, &tm));
	return tm.tm_gmtoff;
}

static void offsets_are_those_of_libc(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct zone *z = zone_of(names[i]);
		if (z == NULL)
			skip(); /* a machine without the tz database */
		assert_int_equal(setenv("TZ", names[i], 1), 0);
		tzset();
		for (int n = 0; n < 20000; n++) {
			/* 1900 to 2200: before the first transition, and long after the last one */
			int64_t at = -2208988800 + (int64_t)any(9467107200u);
			if (zone_offset_s(z, at) != libc_offset_s(at))
				fail_msg("%s at %lld: %lld, libc %lld", names[i], (long long)at,
					 (long long)zone_offset_s(z, at),
					 (long long)libc_offset_s(at));
		}
	}
	unsetenv("TZ");
	tzset();
}

static void the_second_of_a_change(void **state)
{
	const struct zone *z = zone_of("Europe/Berlin");

	(void)state;
	if (z == NULL)
		skip();
	assert_int_equal(zone_offset_s(z, 1774745999), 3600); /* 2026-03-29T00:59:59Z */
	assert_int_equal(zone_offset_s(z, 1774746000), 7200);
	assert_int_equal(zone_offset_s(z, 1792889999), 7200); /* 2026-10-25T00:59:59Z */
	assert_int_equal(zone_offset_s(z, 1792890000), 3600);
	/* by the rule: 2060-03-28T01:00:00Z, 2060-10-31T01:00:00Z */
	assert_int_equal(zone_offset_s(z, 2847661199), 3600);
	assert_int_equal(zone_offset_s(z, 2847661200), 7200);
	assert_int_equal(zone_offset_s(z, 2866409999), 7200);
	assert_int_equal(zone_offset_s(z, 2866410000), 3600);
}

static void other_names_are_no_zones(void **state)
{
	static const char *const others[] = {
		"",         "Europe/Atlantis", "../../etc/passwd",       "/etc/localtime",
		"Europe",   "Europe/",         "Europe//Berlin",         "tzdata.zi",
		"zone.tab", "Europe/Ber lin",  "Europe/../Europe/Berlin"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (zone_of(others[i]) != NULL)
			fail_msg("taken: %s", others[i]);
	if (zone_of("Europe/Berlin") != NULL)
		assert_ptr_equal(zone_of("Europe/Berlin"), zone_of("Europe/Berlin"));
}

/* A file as new ones are: no transitions that the rule tells. */
static struct zone *of_rule(const char *rule)
{
	unsigned char file[2 * (44 + 6 + 4) + 200] = { 0 };
	size_t n = 0;

	for (int block = 0; block < 2; block++) {
		memcpy(file + n, "TZif2", 5);
		file[n + 39] = 1; /* types */
		file[n + 43] = 4; /* bytes of names */
		n += 44 + 6 + 4;
	}
	n += (size_t)snprintf((char *)file + n, sizeof(file) - n, "\n%s\n", rule);
	unsigned char *exact = malloc(n);
	assert_non_null(exact);
	memcpy(exact, file, n);
	struct zone *z;
	struct error err;
	assert_true(zone_parse(exact, n, &z, &err));
	free(exact);
	return z;
}

static void rules_are_read(void **state)
{
	static const struct {
		const char *rule;
		int64_t at, offset_s;
	} rows[] = {
		{ "UTC0", 1700000000, 0 },
		{ "<+0545>-5:45", 1700000000, 20700 },
		{ "<-03>3", 1700000000, -10800 },
		{ "EST5EDT,M3.2.0,M11.1.0", 1772953199, -18000 },     /* 2026-03-08T07:00Z */
		{ "NZST-12NZDT,M9.5.0,M4.1.0/3", 1767225600, 46800 }, /* summer over the new year */
		{ "NZST-12NZDT,M9.5.0,M4.1.0/3", 1782864000, 43200 },
		{ "IST-1GMT0,M10.5.0,M3.5.0/1", 1767225600, 0 }, /* winter time is the other one */
		{ "A0B,J60/0,J300/0", 1709251200, 3600 },        /* 2024-03-01: never the 29th */
		{ "A0B,J60/0,J300/0", 1709251199, 0 },
		{ "A0B,59/0,300/0", 1709164800, 3600 },            /* 2024-02-29, day 59 from 0 */
		{ "A0B,M3.5.0/-1,M10.5.0/167", 1774738800, 3600 }, /* the evening before the 29th */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone *z = of_rule(rows[i].rule);
		assert_non_null(z);
		if (zone_offset_s(z, rows[i].at) != rows[i].offset_s)
			fail_msg("%s: %lld", rows[i].rule, (long long)zone_offset_s(z, rows[i].at));
		free(z);
	}
	static const char *const bad[] = { "CET",
					   "CET-1CEST,M13.1.0,M1.1.0",
					   "CET-1CEST,M3.5.0",
					   "CET-1CEST,M3.5.0,M10.5.0/3x",
					   "-1",
					   "CET-999",
					   "<CET-1" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (of_rule(bad[i]) != NULL)
			fail_msg("taken: %s", bad[i]);
}

/* Whatever stands in a file, it is a zone or none. */
static void damaged_files_do_no_harm(void **state)
{
	unsigned char file[4096];
	FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "r");

	(void)state;
	if (f == NULL)
		skip();
	size_t n = fread(file, 1, sizeof(file), f);
	assert_int_equal(fclose(f), 0);
	for (int round = 0; round < 20000; round++) {
		size_t size = any(3) == 0 ? any(n) : n;
		unsigned char *copy = malloc(size > 0 ? size : 1);
		assert_non_null(copy);
		memcpy(copy, file, size);
		for (uint64_t i = 0; size > 0 && i < 1 + any(6); i++)
			copy[any(2) == 0 ? any(size) : any(size < 100 ? size : 100)] =
				(unsigned char)any(256);
		struct zone *z;
		struct error err;
		assert_true(zone_parse(copy, size, &z, &err));
		free(copy);
		for (int i = 0; z != NULL && i < 20; i++)
			(void)zone_offset_s(z, (int64_t)any(8000000000u) - 2000000000);
		free(z);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offsets_are_those_of_libc),
		cmocka_unit_test(the_second_of_a_change),
		cmocka_unit_test(other_names_are_no_zones),
		cmocka_unit_test(rules_are_read),
		cmocka_unit_test(damaged_files_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
