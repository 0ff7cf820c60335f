/* layout.h: writes a struct as a JSON object by a table: the members in their order, and where each
 * stands in the struct. The table is the object as the contract draws it. Pure.
 *
 *	static const struct json_member file_members[] = {
 *		{ "id", COLUMN(struct file, id) },
 *		{ "object", .literal = "\"file\"" },
 *		{ "expires_at", COLUMN(struct file, expires_at), .form = FORM_NULL_IF_ZERO },
 *		{ "quota", .form = FORM_OBJECT },
 *		{ "bytes", COLUMN(struct file, bytes) },
 *		{ .form = FORM_END },
 *	};
 *
 *	{"id":"file-1","object":"file","expires_at":null,"quota":{"bytes":170}} */
#pragma once

#include "api/column.h"

enum member_form {
	FORM_VALUE,            /* as its type is: a string, a number (null: NAN), true or false */
	FORM_NULL_IF_ZERO,     /* null where it is 0, or no text */
	FORM_NULL_IF_NEGATIVE, /* of COLUMN_I64 */
	FORM_JSON,             /* a text that is JSON; null where there is none */
	FORM_OBJECT, /* no value: the entries up to FORM_END are the members of an object */
	FORM_END,    /* no name */
};

struct json_member {
	const char *name;
	struct column value;
	enum member_form form;
	unsigned decimals;                              /* of a double, see column_number() */
	const char *literal;                            /* the value, instead of a column */
	void (*write)(struct buf *to, const void *row); /* likewise: appends the value */
};

/* "name":value,… without braces: of an object that others begin and end. */
void members_write(struct buf *to, const struct json_member *members, size_t n, const void *row);
/* {"name":value,…} */
void object_write(struct buf *to, const struct json_member *members, size_t n, const void *row);
/* [{…},{…}]: an object for each of `rows` rows of `bytes`. */
void array_write(struct buf *to, const struct json_member *members, size_t n, const void *first,
		 size_t rows, size_t bytes);
