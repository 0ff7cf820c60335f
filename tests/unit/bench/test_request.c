/* test_request.c: what the simulated engine reads of bodies. */
#include "unit.h"

#include "base/attr.h"
#include "request.h"

static void texts_count(void **state)
{
	static const struct {
		const char *body;
		unsigned n_inputs, n;
		const char *first, *last;
	} rows[] = {
		{ "{\"prompt\":\"abc\"}", 1, 1, "\"abc\"", "\"abc\"" },
		{ "{\"prompt\":[\"a\",\"bc\",\"d\"],\"n\":2}", 3, 2, "\"a\"", "\"d\"" },
		{ "{\"prompt\":[1,2,3]}", 1, 1, "[1,2,3]", "[1,2,3]" },
		{ "{\"input\":[[1,2],[3]]}", 2, 1, "[1,2]", "[3]" },
		{ "{\"input\":[]}", 1, 1, "[]", "[]" },
		{ "{\"messages\":[{\"role\":\"user\"},{}],\"n\":4}", 1, 4,
		  "[{\"role\":\"user\"},{}]", "[{\"role\":\"user\"},{}]" },
		{ "{\"prompt\":\"a\",\"n\":null}", 1, 1, "\"a\"", "\"a\"" },
		{ "{\"prompt\":\"a\",\"n\":-3}", 1, 1, "\"a\"", "\"a\"" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request r;
		struct slice inputs[3];

		assert_true(request_scan(slice_of(rows[i].body), &r));
		assert_int_equal(r.n_inputs, rows[i].n_inputs);
		assert_int_equal(r.n, rows[i].n);
		request_inputs(&r, inputs);
		assert_true(slice_is(inputs[0], rows[i].first));
		assert_true(slice_is(inputs[r.n_inputs - 1], rows[i].last));
	}
}

static void no_prompt_is_seen(void **state)
{
	struct request r;
	(void)state;

	assert_true(request_scan(SLICE("{\"model\":\"m\"}"), &r));
	assert_int_equal(r.prompt.n, 0);
	assert_false(request_scan(SLICE("[1]"), &r));
	assert_false(request_scan(SLICE("{\"prompt\":\"a\""), &r));
}

static void control_has_all_members(void **state)
{
	struct control c;
	(void)state;

	assert_true(control_scan(SLICE("{}"), &c));
	assert_true(c.down_s < 0 && c.refuse < 0 && c.slots < 0 && c.answer_factor < 0);
	assert_true(c.dead == -1 && c.mark == -1 && c.lie.n == 0);
	assert_true(control_scan(SLICE("{\"down_s\":1.5,\"refuse\":0.25,\"slots\":4,\"dead\":true,"
				       "\"answer_factor\":10,\"mark\":false,\"lie\":\"huge\"}"),
				 &c));
	assert_true(c.down_s == 1.5 && c.refuse == 0.25 && c.slots == 4 && c.answer_factor == 10);
	assert_true(c.dead == 1 && c.mark == 0 && slice_is(c.lie, "huge"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_count),
		cmocka_unit_test(no_prompt_is_seen),
		cmocka_unit_test(control_has_all_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
