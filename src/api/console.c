/* console.c: see console.h. */
#include "api/console.h"

#include <string.h>

#include "api/conditions.h"
#include "console/console.h"

#define UNDER "/console/"

/* What the pages may do, whatever gets into them: run our scripts, and talk to this server. */
static void add_policy(struct http_response *r)
{
	http_header(r, "Content-Security-Policy", "%s",
		    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		    "img-src 'self' data:; base-uri 'none'; form-action 'none'; "
		    "frame-ancestors 'none'");
	http_header(r, "X-Content-Type-Options", "nosniff");
	http_header(r, "Referrer-Policy", "no-referrer");
}

/* Relative, so that it holds below any path at which a proxy has this server. */
static void lead(struct http_response *r)
{
	r->status = 302;
	r->content_type = "";
	http_header(r, "Location", "console/");
	http_header(r, "Vary", "Accept");
}

bool console_leads(const struct request *rq, struct http_response *r)
{
	if (!console_is_built() || !html_taken(http_request_header(rq->http, "Accept")))
		return false;
	lead(r);
	return true;
}

static bool check_built(struct error *err)
{
	return console_is_built() || fail(err, ERR_NOT_FOUND,
					  "This lowtide was built without its console; a build "
					  "with -Dconsole=enabled has it.");
}

bool console_enter(struct request *rq, struct http_response *r, struct error *err)
{
	(void)rq;
	if (!check_built(err))
		return false;
	lead(r);
	return true;
}

/* Names stay the same when a file changes, so a browser asks each time; its etag makes that short. */
bool console_get(struct request *rq, struct http_response *r, struct error *err)
{
	const struct http_request *q = rq->http;
	const char *path = http_path(q) + strlen(UNDER);
	struct console_file file;

	if (!check_built(err))
		return false;
	if (!console_find(path, &file))
		return fail(err, ERR_NOT_FOUND, "The console has no file '%.100s'.", path);
	bool packed = file.gzip.n > 0 && gzip_taken(http_request_header(q, "Accept-Encoding"));
	r->content_type = file.type;
	r->fixed = packed ? file.gzip : file.plain;
	add_policy(r);
	http_header(r, "Cache-Control", "no-cache");
	http_header(r, "Vary", "Accept-Encoding");
	http_header(r, "ETag", "%.*s%s", (int)strlen(file.etag) - packed, file.etag,
		    packed ? "-gzip\"" : "");
	if (etag_listed(http_request_header(q, "If-None-Match"), file.etag))
		r->status = 304;
	else if (packed)
		http_header(r, "Content-Encoding", "gzip");
	return true;
}
