/* error.h: an error is a value that already is the API's answer.
 *
 * A function that can fail returns false and fills a `struct error`; no function logs the error on
 * the way; the caller that stops passing it on does (or answers the client with it). The kind
 * decides the HTTP status and `error.type` (contract 2.3, table in error.c); `code`, `param` and
 * `message` go out as they stand, so they hold no paths, keys or upstream addresses. `sys`,
 * `sqlite` and `detail` are for the log alone. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

/*       kind             HTTP  error.type, kimi               error.type, openai       code */
#define ERROR_KINDS(X)                                                                           \
	X(INVALID, 400, "invalid_request_error", "invalid_request_error", NULL)                  \
	X(NO_KEY, 401, "invalid_authentication_error", "invalid_request_error", NULL)            \
	X(BAD_KEY, 401, "incorrect_api_key_error", "invalid_request_error", "invalid_api_key")   \
	X(FORBIDDEN, 403, "permission_denied_error", "invalid_request_error", NULL)              \
	X(NOT_FOUND, 404, "resource_not_found_error", "invalid_request_error", NULL)             \
	X(METHOD, 405, "invalid_request_error", "invalid_request_error", "method_not_supported") \
	X(CONFLICT, 409, "invalid_request_error", "invalid_request_error", NULL)                 \
	X(TOO_LARGE, 413, "invalid_request_error", "invalid_request_error", "request_too_large") \
	X(MEDIA_TYPE, 415, "invalid_request_error", "invalid_request_error",                     \
	  "unsupported_media_type")                                                              \
	X(RANGE, 416, "invalid_request_error", "invalid_request_error", "invalid_range")         \
	X(KEY_REUSED, 422, "invalid_request_error", "invalid_request_error",                     \
	  "idempotency_key_reused")                                                              \
	X(RATE_LIMIT, 429, "rate_limit_reached_error", "requests", "rate_limit_exceeded")        \
	X(TOKEN_LIMIT, 429, "rate_limit_reached_error", "tokens", "rate_limit_exceeded")         \
	X(INTERNAL, 500, "server_error", "server_error", NULL)                                   \
	X(UPSTREAM, 502, "server_error", "server_error", "upstream_error")                       \
	X(UNAVAILABLE, 503, "server_error", "server_error", NULL)                                \
	X(TIMEOUT, 504, "server_error", "server_error", "request_timeout")                       \
	X(NO_SPACE, 507, "server_error", "server_error", "insufficient_storage")

enum error_kind {
#define X(name, status, kimi, openai, code) ERR_##name,
	ERROR_KINDS(X)
#undef X
};

struct error {
	enum error_kind kind;
	int sys;           /* errno of the system call at fault, and nothing else; 0: none */
	int sqlite;        /* SQLite's extended result code, 0: none */
	uint64_t line;     /* physical line of the input or config file, from 1; 0: none */
	const char *code;  /* static text or NULL: then the kind's own */
	char param[160];   /* request member at fault; "": null */
	char message[700]; /* for the client */
	char detail[256];  /* what was being done, with paths: for the log */
};

struct error_kind_info {
	int http_status;
	const char *type_kimi;
	const char *type_openai;
	const char *code; /* or NULL */
};

/* The row of ERROR_KINDS. */
const struct error_kind_info *error_kind_info(enum error_kind kind);

/* Each fills `*err` whole and returns false, always, so that `return fail(...)` reads well. */
bool fail(struct error *err, enum error_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);
/* `code` is static text or NULL; `param` is copied, NULL for none. */
bool fail_param(struct error *err, const char *param, const char *code, const char *format, ...)
	PRINTF_LIKE(4, 5);
/* A system call failed: kind NO_SPACE for ENOSPC and EDQUOT, UNAVAILABLE for EMFILE and ENFILE (it
 * may pass), else INTERNAL; the client reads a general message, the log gets errno and the
 * formatted detail. */
bool fail_sys(struct error *err, int saved_errno, const char *format, ...) PRINTF_LIKE(3, 4);
bool fail_memory(struct error *err);
/* No memory, no descriptors, or a store that does not answer now (EAGAIN) or does not let us in
 * (UNAVAILABLE): what failed is not at fault, and may do another time. */
bool error_may_pass(const struct error *err);

/* clang's analyzer reads one file at a time and would go on where they returned true. */
#ifdef __clang_analyzer__
#define fail(...) (fail(__VA_ARGS__), false)
#define fail_param(...) (fail_param(__VA_ARGS__), false)
#define fail_sys(...) (fail_sys(__VA_ARGS__), false)
#define fail_memory(err) (fail_memory(err), false)
#endif
