/* A table: the same records whatever the pieces that it comes in, no byte taken twice or left
 * out, and a field that is written and read again is the same. */
#include <string.h>

#include "fuzz.h"
#include "rows/csv.h"

#define PIECES 7 /* a record is looked for each time so many bytes more are there */

static size_t record_end(const struct csv_record *r)
{
	return r->bytes + r->end_bytes;
}

static void fields_check(const struct csv_record *r, struct slice text)
{
	size_t at = 0;

	for (size_t i = 0; i < r->count && i < CSV_FIELDS_MAX; i++) {
		const struct csv_field *f = &r->fields[i];
		PROMISE(f->at >= at && f->at + f->n <= r->bytes && r->bytes <= text.n);
		at = f->at + f->n;
	}
}

/* As a row of its own: what is read is what was written. */
static void field_again(struct slice value, char delimiter)
{
	struct csv_record r = { 0 };
	struct buf line = BUF(1 << 20), plain = BUF(1 << 20);

	csv_write(&line, value, delimiter);
	buf_char(&line, '\n');
	PROMISE(!line.failed);
	PROMISE(csv_read(buf_slice(&line), true, delimiter, &r) == CSV_RECORD);
	PROMISE(r.count == 1 && record_end(&r) == line.n && buf_reserve(&plain, line.n));
	struct slice field = { line.p + r.fields[0].at, r.fields[0].n };
	plain.n = csv_unquote(field, plain.p);
	PROMISE(r.fields[0].doubled ? slice_eq(buf_slice(&plain), value) : slice_eq(field, value));
	buf_free(&line);
	buf_free(&plain);
	csv_record_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char delimiters[] = ",;\t";
	char delimiter = delimiters[size % 3];
	struct slice text = { (const char *)data, size };
	struct csv_record whole = { 0 }, piece = { 0 };
	enum csv_end end = CSV_RECORD;

	while (text.n > 0 && end == CSV_RECORD) {
		end = csv_read(text, true, delimiter, &whole);
		PROMISE(end != CSV_MORE && end != CSV_NO_MEMORY);
		enum csv_end again = CSV_MORE;
		for (size_t n = 1; again == CSV_MORE; n += PIECES) {
			struct slice part = { text.p, n < text.n ? n : text.n };
			again = csv_read(part, part.n == text.n, delimiter, &piece);
		}
		PROMISE(again == end && piece.count == whole.count);
		if (end != CSV_RECORD)
			break;
		PROMISE(record_end(&piece) == record_end(&whole) && piece.lines == whole.lines);
		PROMISE(record_end(&whole) > 0 && whole.count > 0);
		fields_check(&whole, text);
		if (whole.fields[0].n < 4096)
			field_again((struct slice){ text.p + whole.fields[0].at,
						    whole.fields[0].n },
				    delimiter);
		text.p += record_end(&whole);
		text.n -= record_end(&whole);
	}
	csv_record_done(&whole);
	csv_record_done(&piece);
	return 0;
}
