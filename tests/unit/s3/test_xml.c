/* What is read of the store's XML, and what is not taken for it. */
#include "unit.h"

#include "s3/s3_impl.h"

static char seen[4096];

static bool note(void *ctx, const char *around, const char *name, struct slice text,
		 struct error *err)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%s/%s=%.*s;", around, name, SLICE_ARG(text));
	return ctx == NULL || strcmp(name, ctx) != 0 || fail_sys(err, EIO, "enough");
}

static bool reads(const char *xml, const char *until, struct error *err)
{
	seen[0] = '\0';
	return s3_xml_read(slice_of(xml), note, (void *)until, err);
}

static void elements_with_their_texts(void **state)
{
	struct error err;

	(void)state;
	assert_true(
		reads("<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b>one &amp; <![CDATA[<two>]]></b>"
		      "<p:c xmlns:p=\"y\"/> </a>",
		      NULL, &err));
	assert_string_equal(seen, "a/b=one & <two>;a/c=;/a= ;");
	assert_false(reads("<a><b>1</b><c>2</c></a>", "b", &err));
	assert_string_equal(seen, "a/b=1;");
	assert_string_equal(err.detail, "enough");
}

static void what_is_no_xml(void **state)
{
	static const char deep[] = "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a>"
				   "</a></a></a></a></a></a></a></a></a></a></a></a></a></a>";
	static const char *const bad[] = {
		"",
		"no",
		"<a>",
		"<a></b>",
		"<a>&who;</a>",
		"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
		deep,
		"<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/>",
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(reads(bad[i], NULL, &err));
		assert_int_equal(err.sys, EIO);
	}
	static char large[20000];
	memset(large, 'x', sizeof(large) - 1);
	memcpy(large, "<a>", 3);
	assert_false(reads(large, NULL, &err));
}

static void one_element_is_found(void **state)
{
	static const char xml[] = "<Error><Code>SlowDown</Code><Sub><Code>No</Code></Sub></Error>";
	struct error err;
	char to[16];

	(void)state;
	assert_true(
		s3_xml_find(SLICE("<Error><Code>SlowDown</Code>"), "Error", "Code", to, 16, &err));
	assert_true(s3_xml_find(slice_of(xml), "Error", "Code", to, sizeof(to), &err));
	assert_string_equal(to, "SlowDown");
	assert_false(s3_xml_find(slice_of(xml), "Error", "Code", to, 4, &err));
	assert_false(s3_xml_find(slice_of(xml), "Error", "Key", to, sizeof(to), &err));
	assert_string_equal(to, "");
	assert_int_equal(err.sys, ENOMSG);
}

static void times(void **state)
{
	(void)state;
	assert_int_equal(s3_time(SLICE("2026-12-01T15:49:20.000Z")), 1796140160);
	assert_int_equal(s3_time(SLICE("yesterday")), 0);
	assert_int_equal(s3_time(SLICE("")), 0);
}

static void checksums(void **state)
{
	struct s3_hash h;
	struct error err;

	(void)state;
	assert_true(s3_hash_body(NULL, &h, &err));
	assert_string_equal(h.base64, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
	assert_true(s3_hash_bytes(SLICE("abc"), &h, &err));
	assert_string_equal(h.hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_with_their_texts),
		cmocka_unit_test(what_is_no_xml),
		cmocka_unit_test(one_element_is_found),
		cmocka_unit_test(times),
		cmocka_unit_test(checksums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
