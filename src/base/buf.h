/* buf.h: a growable run of bytes with a largest size given at birth.
 *
 * Appending past the largest size, or failing to allocate, sets `failed` and leaves the contents as
 * they were; later appends do nothing. So a writer appends freely and checks `failed` once.
 * The holder of the struct owns the bytes; a buf is not shared between threads. */
#pragma once

#include <stdarg.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct budget_use;

struct buf {
	char *p;
	size_t n;   /* bytes held */
	size_t cap; /* bytes allocated */
	size_t max; /* largest `n` */
	bool failed;
	bool no_memory; /* it failed because memory was out, not for want of room below `max` */
	struct budget_use *use; /* that `cap` is charged to (budget.h); NULL: none */
};

#define BUF(max_bytes) ((struct buf){ .max = (max_bytes) })
#define BUF_OF(max_bytes, budget_use) ((struct buf){ .max = (max_bytes), .use = (budget_use) })

void buf_free(struct buf *b);  /* releases the bytes; the buf is empty and usable again */
void buf_clear(struct buf *b); /* empty, keeps the memory, clears `failed` and why */
bool buf_reserve(struct buf *b, size_t more); /* false and `failed` if not possible */
/* Likewise, but only where the budget has room. False: it has none now, and nothing has changed.
 * True: there is room for `more`, or `failed` is set as by buf_reserve(). */
bool buf_try_reserve(struct buf *b, size_t more);
void buf_append(struct buf *b, const void *p, size_t n);
void buf_add(struct buf *b, struct slice s);
void buf_text(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
void buf_u64(struct buf *b, uint64_t value);
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *format, va_list args) PRINTF_LIKE(2, 0);
/* `s` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_json_string(struct buf *b, struct slice s);

static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){ b->p, b->n };
}
