/* json_fault.h: why a text is not JSON, for the person who wrote it. The scanner (json.h) is quick
 * and says only that the text is not JSON; json_fault walks the text once more, where the reason is
 * wanted. */
#pragma once

#include "base/slice.h"

/* What stands where it must not; the kinds that whole files share are told apart. */
enum json_fault_kind {
	JSON_FAULT_OTHER,
	JSON_FAULT_NAN,       /* NaN, Infinity: Python's json.dumps writes them */
	JSON_FAULT_END_COMMA, /* one whole value, then a comma and nothing */
	JSON_FAULT_CUT,       /* the text ends inside a value */
};

struct json_fault {
	enum json_fault_kind kind;
	size_t column;   /* characters from 1; bytes that are not UTF-8 count one each */
	char reason[96]; /* "a comma is followed by }" */
};

/* False if `text` is JSON after all. */
bool json_fault_find(struct slice text, struct json_fault *ret);
