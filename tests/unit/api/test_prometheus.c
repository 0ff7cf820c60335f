/* Prometheus text that is written by a table: heads, labels, numbers, and their order. */
#include "unit.h"

#include <math.h>

#include "api/prometheus.h"

struct row {
	struct slice name;
	const char *why;
	unsigned lines, online;
	double share;
	bool gone;
};

static const struct row rows[] = {
	{ .name = SLICE("a"), .why = "x", .lines = 3, .share = 0.25 },
	{ .name = SLICE("gone"), .why = "x", .gone = true },
	{ .name = SLICE("b\"\\\n"), .why = "y", .online = 4, .share = NAN },
};

static const struct metric table[] = {
	{ "in_flight", "gauge", "Requests in flight.", COLUMN(struct row, lines),
	  LABEL("kind", "batch") },
	{ .value = COLUMN(struct row, online), LABEL("kind", "online") },
	{ "share", "gauge", "A share.", COLUMN(struct row, share) },
	{ "rounded", "counter", "Likewise.", COLUMN(struct row, share), .decimals = 3 },
	{ "why", "gauge", "1 for the reason.", METRIC_ONE, LABEL_FROM("reason", struct row, why) },
};

static bool stays(const void *row)
{
	return !((const struct row *)row)->gone;
}

static void is(struct buf *to, const char *expected)
{
	buf_char(to, '\0');
	assert_false(to->failed);
	assert_string_equal(to->p, expected);
	buf_free(to);
}

static void rows_of_a_table(void **state)
{
	struct metric_rows of = METRIC_ROWS(rows, ARRAY_LEN(rows), LABEL_OF("u", struct row, name));
	struct buf to = BUF(4096);

	(void)state;
	of.shown = stays;
	prometheus_write(&to, table, ARRAY_LEN(table), &of);
	is(&to, "# HELP in_flight Requests in flight.\n"
		"# TYPE in_flight gauge\n"
		"in_flight{u=\"a\",kind=\"batch\"} 3\n"
		"in_flight{u=\"a\",kind=\"online\"} 0\n"
		"in_flight{u=\"b\\\"\\\\\\n\",kind=\"batch\"} 0\n"
		"in_flight{u=\"b\\\"\\\\\\n\",kind=\"online\"} 4\n"
		"# HELP share A share.\n"
		"# TYPE share gauge\n"
		"share{u=\"a\"} 0.25\n"
		"# HELP rounded Likewise.\n"
		"# TYPE rounded counter\n"
		"rounded{u=\"a\"} 0.250\n"
		"# HELP why 1 for the reason.\n"
		"# TYPE why gauge\n"
		"why{u=\"a\",reason=\"x\"} 1\n"
		"why{u=\"b\\\"\\\\\\n\",reason=\"y\"} 1\n");
}

static void without_rows_there_are_heads(void **state)
{
	const struct metric_rows of = METRIC_ROWS(rows, 0);
	struct buf to = BUF(4096);

	(void)state;
	prometheus_write(&to, table + 2, 1, &of);
	is(&to, "# HELP share A share.\n# TYPE share gauge\n");
}

static void without_labels_there_are_no_braces(void **state)
{
	const struct metric_rows of = METRIC_ROWS(rows, 1);
	struct buf to = BUF(4096);

	(void)state;
	prometheus_write(&to, table + 2, 1, &of);
	is(&to, "# HELP share A share.\n# TYPE share gauge\nshare 0.25\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_of_a_table),
		cmocka_unit_test(without_rows_there_are_heads),
		cmocka_unit_test(without_labels_there_are_no_braces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
