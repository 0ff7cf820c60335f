/* errors.c: one function makes every answer that is an error. */
#include "api/errors.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/sys.h"

/* How soon a call that found the server stopping may be tried again: by then another has started,
 * or this one has gone. */
#define UNAVAILABLE_RETRY_S 5
#define OUT_OF_FILES_TELL_MS 60000

static void write_or_null(struct buf *to, const char *text)
{
	if (text == NULL || text[0] == '\0')
		buf_text(to, "null");
	else
		buf_json_string(to, slice_of(text));
}

void error_write(struct buf *to, const struct error *err, enum profile profile)
{
	const struct error_kind_info *kind = error_kind_info(err->kind);

	buf_text(to, "{\"error\":{\"message\":");
	buf_json_string(to, slice_of(err->message));
	buf_text(to, ",\"type\":");
	buf_json_string(to,
			slice_of(profile == PROFILE_OPENAI ? kind->type_openai : kind->type_kimi));
	buf_text(to, ",\"param\":");
	write_or_null(to, err->param);
	buf_text(to, ",\"code\":");
	write_or_null(to, err->code != NULL ? err->code : kind->code);
	buf_text(to, "}}");
}

/* What an SDK is told about trying again (contract 2.4). */
static void add_retry_headers(struct http_response *r, enum error_kind kind)
{
	if (kind == ERR_UNAVAILABLE)
		http_header(r, "Retry-After", "%d", UNAVAILABLE_RETRY_S);
	if (kind == ERR_KEY_REUSED)
		http_header(r, "x-should-retry", "false");
}

void error_response(struct http_response *r, const struct error *err, enum profile profile)
{
	r->status = error_kind_info(err->kind)->http_status;
	r->content_type = NULL;
	http_file_close(&r->file);
	r->fixed = SLICE("");
	buf_clear(&r->body);
	error_write(&r->body, err, profile);
	add_retry_headers(r, err->kind);
}

/* Told once a minute: there will be many. */
static void log_out_of_files(const struct error *err)
{
	static _Atomic uint64_t next_ms;
	uint64_t now_ms = sys.monotonic_ms(), due_ms = next_ms;

	if (now_ms >= due_ms &&
	    atomic_compare_exchange_strong(&next_ms, &due_ms, now_ms + OUT_OF_FILES_TELL_MS))
		log_fault("http.out_of_files", err);
}

void error_answer(struct request *rq, struct http_response *r, const struct error *err)
{
	error_response(r, err, rq->api->config.profile);
	if (err->kind == ERR_UNAVAILABLE && (err->sys == EMFILE || err->sys == ENFILE))
		log_out_of_files(err);
	if (r->status >= 500 && err->kind != ERR_UNAVAILABLE)
		log_fault("http.fault", err, kv_str("request", rq->id),
			  kv_str("method", http_method(rq->http)),
			  kv_str("path", http_path(rq->http)), kv_int("status", r->status));
}
