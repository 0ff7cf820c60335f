/* say.c: why a call failed and what to do, in one sentence. */
#include <string.h>

#include "remote/remote_impl.h"

#define WHERE_HINT "LOWTIDE_URL, --url or `lowtide login URL` names the server"

/* ---- no answer ---- */

static bool say_unreachable(const struct remote *r, const char *said, struct error *err)
{
	if (strstr(said, "onnect to server") != NULL || strstr(said, "refused") != NULL)
		return fail(err, ERR_UNAVAILABLE,
			    "nothing listens at %s: is `lowtide serve` running? (" WHERE_HINT ")",
			    r->url);
	return fail(err, ERR_UNAVAILABLE, "%s cannot be reached (%s%s): " WHERE_HINT, r->url,
		    r->route->by_way, said);
}

static bool say_no_answer(const struct remote *r, const struct remote_end *end, struct error *err)
{
	switch (end->how) {
	case EXCHANGE_UNREACHABLE:
		return say_unreachable(r, end->said, err);
	case EXCHANGE_CERTIFICATE:
		return fail(
			err, ERR_UNAVAILABLE,
			"the certificate of %s is refused (%s): --ca-file FILE or LOWTIDE_CA_FILE "
			"names the CA certificates that vouch for it",
			r->url, end->said);
	case EXCHANGE_PROXY:
		return fail(
			err, ERR_UNAVAILABLE,
			"%sthe proxy refuses to connect to %s (%s): https_proxy and no_proxy say "
			"which one is used",
			r->route->by_way, r->url, end->said);
	case EXCHANGE_TIMEOUT:
		return fail(err, ERR_TIMEOUT, "%s did not answer in time (%s): call again", r->url,
			    end->said);
	case EXCHANGE_TOO_LARGE:
		return fail(err, ERR_UPSTREAM,
			    "the answer of %s is larger than this command takes: is it a lowtide "
			    "server? (" WHERE_HINT ")",
			    r->url);
	case EXCHANGE_MALFORMED:
	case EXCHANGE_CODED:
		return fail(err, ERR_UPSTREAM,
			    "what answers at %s is no lowtide server (%s): " WHERE_HINT, r->url,
			    end->said);
	default:
		return fail(err, ERR_UNAVAILABLE, "the connection to %s broke (%s): call again",
			    r->url, end->said);
	}
}

/* ---- an answer that refuses ---- */

static enum error_kind kind_of(int status)
{
	static const enum error_kind kinds[] = {
		ERR_INVALID,    ERR_BAD_KEY,     ERR_FORBIDDEN,  ERR_NOT_FOUND, ERR_METHOD,
		ERR_CONFLICT,   ERR_TOO_LARGE,   ERR_MEDIA_TYPE, ERR_RANGE,     ERR_KEY_REUSED,
		ERR_RATE_LIMIT, ERR_UNAVAILABLE, ERR_TIMEOUT,    ERR_NO_SPACE,
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (error_kind_info(kinds[i])->http_status == status)
			return kinds[i];
	return status < 500 ? ERR_INVALID : ERR_UPSTREAM;
}

/* The server's words, in the API's shape. "": it has none. */
static void message_of(struct slice body, char *to, size_t size)
{
	json_t *answer = json_loadb(body.n > 0 ? body.p : "", body.n, JSON_ALLOW_NUL, NULL);
	const char *text = json_string_value(
		json_object_get(json_object_get(answer, "error"), "message"));
	size_t n = text != NULL ? strnlen(text, size - 1) : 0;

	memcpy(to, text != NULL ? text : "", n);
	to[n] = '\0';
	while (n > 0 && (to[n - 1] == '.' || to[n - 1] == ' '))
		to[--n] = '\0'; /* what to do follows it */
	for (char *p = to; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' '; /* nothing a server says moves the terminal's cursor */
	json_decref(answer);
}

static bool say_key(const struct remote *r, const char *said, struct error *err)
{
	if (r->key == NULL)
		return fail(
			err, ERR_NO_KEY,
			"%s wants an API key: `lowtide login %s` keeps one, or set LOWTIDE_API_KEY",
			r->url, r->url);
	return fail(err, ERR_BAD_KEY,
		    "%s does not take this API key (%s): `lowtide login %s` keeps another, or set "
		    "LOWTIDE_API_KEY",
		    r->url, said, r->url);
}

/* Each answer of ours has an id; another's 404 says nothing of what was asked for. */
static bool is_strange(const struct remote *r, const struct remote_end *end)
{
	struct slice id = remote_header(r, "x-request-id");

	return end->status == 404 && (id.n < 4 || memcmp(id.p, "req_", 4) != 0);
}

static bool say_answer(struct remote *r, const struct remote_request *q,
		       const struct remote_end *end, struct error *err)
{
	char said[500];
	enum error_kind kind = kind_of(end->status);

	message_of(end->body, said, sizeof(said));
	if (end->status == 401)
		return say_key(r, said[0] != '\0' ? said : "401", err);
	bool strange = is_strange(r, end);
	bool older = end->status == 404 && strncmp(said, "Invalid URL", 11) == 0;
	r->path_unknown = strange || older || (end->status == 404 && said[0] == '\0');
	if (strange && said[0] != '\0')
		return fail(err, kind,
			    "what answers at %s is no lowtide server (status %d: %s): " WHERE_HINT,
			    r->url, end->status, said);
	if (older)
		return fail(
			err, kind,
			"the server at %s does not know %s: it is older than this command, or has "
			"the call turned off",
			r->url, q->path);
	if (said[0] == '\0')
		return fail(err, kind,
			    "what answers at %s is no lowtide server (status %d, without an error "
			    "message): " WHERE_HINT,
			    r->url, end->status);
	if (end->status >= 500 || end->status == 429)
		return fail(err, kind, "the server at %s says: %s (%d): call again later", r->url,
			    said, end->status);
	return fail(err, kind, "%s", said);
}

bool remote_say(struct remote *r, const struct remote_request *q, const struct remote_end *end,
		struct error *err)
{
	return end->how == EXCHANGE_WHOLE ? say_answer(r, q, end, err) : say_no_answer(r, end, err);
}
