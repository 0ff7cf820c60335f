/* JSON objects that are written by a table: members in its order, each in its form. */
#include "unit.h"

#include "api/layout.h"

struct row {
	char name[16];
	const char *more;
	bool yes, no;
	int64_t at, place;
	double rate;
	uint64_t lines;
};

static void put_pair(struct buf *to, const void *of)
{
	const struct row *row = of;

	buf_printf(to, "[%d,%d]", row->yes, row->no);
}

#define R(member) COLUMN(struct row, member)

static const struct json_member members[] = {
	{ "object", .literal = "\"row\"" },
	{ "name", R(name) },
	{ "yes", R(yes) },
	{ "no", R(no) },
	{ "empty", .form = FORM_OBJECT },
	{ .form = FORM_END },
	{ "of", .form = FORM_OBJECT },
	{ "lines", R(lines) },
	{ "rate", R(rate), .decimals = 2 },
	{ .form = FORM_END },
	{ "at", R(at), FORM_NULL_IF_ZERO },
	{ "place", R(place), FORM_NULL_IF_NEGATIVE },
	{ "label", R(name), FORM_NULL_IF_ZERO },
	{ "more", R(more), FORM_JSON },
	{ "pair", .write = put_pair },
};

static const struct row rows[] = {
	{ .name = "a\"b", .more = "{\"k\":1}", .yes = true, .at = 5, .rate = 1.5, .lines = 7 },
	{ .place = -1 },
};

#define FIRST                                                                             \
	"{\"object\":\"row\",\"name\":\"a\\\"b\",\"yes\":true,\"no\":false,\"empty\":{}," \
	"\"of\":{\"lines\":7,\"rate\":1.50},\"at\":5,\"place\":0,\"label\":\"a\\\"b\","   \
	"\"more\":{\"k\":1},\"pair\":[1,0]}"
#define SECOND                                                                          \
	"{\"object\":\"row\",\"name\":\"\",\"yes\":false,\"no\":false,\"empty\":{},"    \
	"\"of\":{\"lines\":0,\"rate\":0.00},\"at\":null,\"place\":null,\"label\":null," \
	"\"more\":null,\"pair\":[0,0]}"

static void is(struct buf *to, const char *expected)
{
	buf_char(to, '\0');
	assert_false(to->failed);
	assert_string_equal(to->p, expected);
	buf_free(to);
}

static void objects(void **state)
{
	struct buf to = BUF(4096);

	(void)state;
	object_write(&to, members, ARRAY_LEN(members), &rows[0]);
	is(&to, FIRST);
	object_write(&to, members, ARRAY_LEN(members), &rows[1]);
	is(&to, SECOND);
	object_write(&to, members, 0, &rows[1]);
	is(&to, "{}");
}

static void arrays(void **state)
{
	struct buf to = BUF(4096);

	(void)state;
	array_write(&to, members, ARRAY_LEN(members), rows, 2, sizeof(rows[0]));
	is(&to, "[" FIRST "," SECOND "]");
	array_write(&to, members, ARRAY_LEN(members), NULL, 0, sizeof(rows[0]));
	is(&to, "[]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects),
		cmocka_unit_test(arrays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
