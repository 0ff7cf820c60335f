/* utf8_step: every character there is, and nothing else. */
#include "unit.h"

#include "base/utf8.h"

static size_t encode(uint32_t point, char to[static 4])
{
	if (point < 0x80) {
		to[0] = (char)point;
		return 1;
	}
	size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, point >>= 6)
		to[i] = (char)(0x80 | (point & 0x3F));
	to[0] = (char)((0xF00u >> n) | point);
	return n;
}

static void every_character_is_valid_and_no_beginning_of_one_is(void **state)
{
	char bytes[4];
	bool valid;

	(void)state;
	for (uint32_t point = 0; point <= 0x10FFFF; point++) {
		size_t n = encode(point, bytes);
		size_t step = utf8_step(bytes, n, &valid);
		if (point >= 0xD800 && point <= 0xDFFF) {
			assert_true(!valid && step == 1);
			continue;
		}
		if (!valid || step != n)
			fail_msg("U+%04X", point);
		for (size_t cut = 1; cut < n; cut++)
			if (utf8_step(bytes, cut, &valid) != cut || valid)
				fail_msg("U+%04X cut to %zu bytes", point, cut);
	}
}

/* All sequences of 2 and 3 bytes, and of 4 with the last two at the bounds: as many as there are
 * characters of that length are valid, so, with the test above, exactly those are. */
static void nothing_else_is_valid(void **state)
{
	static const unsigned char bounds[] = { 0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xFF };
	size_t of_length[5] = { 0 };
	bool valid;

	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			char two[] = { (char)a, (char)b };
			of_length[2] += utf8_step(two, 2, &valid) == 2 && valid;
			for (unsigned c = 0; c < 256; c++) {
				char three[] = { (char)a, (char)b, (char)c };
				of_length[3] += utf8_step(three, 3, &valid) == 3 && valid;
			}
			for (unsigned c = 0; c < 36; c++) {
				char four[] = { (char)a, (char)b, (char)bounds[c / 6],
						(char)bounds[c % 6] };
				of_length[4] += utf8_step(four, 4, &valid) == 4 && valid;
			}
		}
	}
	assert_int_equal(of_length[2], 0x800 - 0x80);
	assert_int_equal(of_length[3], 0x10000 - 0x800 - 0x800);
	assert_int_equal(of_length[4], 0x100000 / (64 * 64) * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_is_valid_and_no_beginning_of_one_is),
		cmocka_unit_test(nothing_else_is_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
