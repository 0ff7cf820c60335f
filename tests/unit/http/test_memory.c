/* Memory runs out while a form streams in: that is not the form's fault. And in what answers are
 * made of: a header is whole, or there is no answer. */
#include "memory_fault.h"

#include "base/buf.h"
#include "http/gzip.h"
#include "http/multipart.h"
#include "http/server.h"

#define TYPE "multipart/form-data; boundary=\"a \\\"quoted\\\" one\""
#define DELIMITER "\r\n--a \"quoted\" one"

static const char form[] = "preamble" DELIMITER "  \r\n"
			   "Content-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch" DELIMITER
			   "\r\n"
			   "content-type: text/plain\r\n"
			   "Content-Disposition: form-data; name=file; filename=\"old.jsonl\"; "
			   "filename*=UTF-8''na%C3%AFve.jsonl; other=\"text of no use\"\r\n\r\n"
			   "{\"a\":1}\r\n{\"b\":2}" DELIMITER "--\r\nepilogue";

struct told {
	char text[512];
	size_t n;
};

static bool note(void *ctx, const struct multipart_part *part, struct slice piece)
{
	struct told *t = ctx;

	if (part->first)
		t->n += (size_t)snprintf(t->text + t->n, sizeof(t->text) - t->n, "[%s|%s]",
					 part->name, part->filename != NULL ? part->filename : "-");
	memcpy(t->text + t->n, piece.p, piece.n);
	t->n += piece.n;
	return true;
}

static void forms(void **state)
{
	static const char expected[] =
		"[purpose|-]batch[file|na\xc3\xafve.jsonl]{\"a\":1}\r\n{\"b\":2}";

	(void)state;
	for (size_t chunk = 1; chunk <= 64; chunk *= 8) {
		for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
			struct told t = { 0 };
			bool ok = true, no_memory = false;
			memory_fail(&s);
			errno = 0;
			struct multipart *m = multipart_open(TYPE, note, &t);
			if (m == NULL)
				assert_int_equal(errno, ENOMEM);
			for (size_t at = 0; m != NULL && ok && at < strlen(form); at += chunk) {
				size_t left = strlen(form) - at;
				ok = multipart_write(m,
						     (struct slice){ form + at,
								     left < chunk ? left : chunk });
			}
			if (m != NULL)
				no_memory = multipart_no_memory(m);
			bool whole = multipart_close(m);
			memory_restore(&s);
			assert_true(whole == !s.fired);
			assert_true(m == NULL || (no_memory == s.fired && ok == !s.fired));
			if (whole)
				assert_int_equal(t.n, strlen(expected));
			assert_memory_equal(t.text, expected, t.n); /* as far as it went */
		}
	}
	errno = 0;
	assert_null(multipart_open("text/plain", note, NULL));
	assert_int_equal(errno, EINVAL);
}

static void headers(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct http_response r;
		http_response_init(&r);
		memory_fail(&s);
		http_header(&r, "ETag", "\"%s\"", "abc");
		http_pass_header(&r, SLICE("X-Name"), SLICE("value"));
		memory_restore(&s);
		static const char own[] = "ETag: \"abc\"\r\n", passed[] = "X-Name: value\r\n";
		assert_true(s.fired == r.fields.failed);
		assert_true(s.fired || (r.fields.n == sizeof(own) + sizeof(passed) - 2 &&
					r.passed_n == sizeof(passed) - 1));
		assert_true(s.fired ||
			    (memcmp(r.fields.p, own, sizeof(own) - 1) == 0 &&
			     memcmp(r.fields.p + sizeof(own) - 1, passed, r.passed_n) == 0));
		http_response_done(&r);
	}
}

static void compression(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		memory_fail(&s);
		struct gzip_reader *g = gzip_open(&(struct http_file){ .length = 0 });
		memory_restore(&s);
		assert_true((g != NULL) == !s.fired);
		gzip_close(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(headers),
		cmocka_unit_test(compression),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
