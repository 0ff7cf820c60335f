/* member.h: members of the API's objects, whatever the server sent: what is not there, or is of
 * another type, is 0 or "". Paths have dots: "lowtide.eta_at". */
#pragma once

#include <jansson.h>

#include "base/buf.h"

/* NULL: there is none, or it is null. */
const json_t *member_at(const json_t *object, const char *path);
int64_t member_integer(const json_t *object, const char *path);
double member_real(const json_t *object, const char *path);
bool member_true(const json_t *object, const char *path);
const char *member_string(const json_t *object, const char *path);
/* Appends a value as it stands, plain (text.h); objects and arrays as JSON, NULL as "-". */
void member_put(struct buf *to, const json_t *value);
/* Appends a value as JSON on one line. Outside of strings JSON has no characters that do something
 * on a terminal, and in them escapes stand for these. */
void member_put_json(struct buf *to, const json_t *value);
