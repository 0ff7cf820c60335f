/* routes.h: which call a method and a path are (contract 3.1, 5, 13). */
#pragma once

#include "api/request.h"

/* What comes in the request's body. */
enum route_body {
	BODY_NONE, /* a body is ignored */
	BODY_JSON, /* collected in rq->body before `handle` */
	BODY_FORM, /* the upload's own (upload.h) */
	BODY_PART, /* a part of an upload's (part.h) */
	BODY_RAW,  /* any bytes up to the limit of a line, collected in rq->body */
};

/* Whose keys may make the call (contract 13.1). An operator's key is refused unless the route says
 * otherwise. */
enum route_keys {
	KEYS_OF_ORGS,
	KEYS_FOR_AN_ORG, /* an operator's as well, which says whose call it is: ?org=NAME */
	KEYS_OF_OPERATOR,
	KEYS_OF_ALL,
	KEYS_OPTIONAL, /* none is needed; one that is given says what the answer shows */
};

struct route {
	const char *method;
	const char *path; /* "{id}" stands for one segment, at most twice; "{rest}" for one or more */
	enum route_body body;
	bool creates;        /* refused while draining */
	const char *name;    /* "POST /v1/files": what repeated calls are kept under (2.4); NULL:
			      * they are not */
	bool online;         /* passed on to an upstream; refused while draining */
	enum http_work work; /* what `handle` may wait for */
	bool kimi;           /* only if the configuration has kimi_calls */
	enum route_keys keys;
	route_fn handle;
};

/* Finds the route and sets rq->route and the ids in `rq`. NOT_FOUND for a path without a route;
 * METHOD, with Allow, for a method that the path does not have. HEAD goes wherever GET goes. */
MUST_USE bool route_find(struct request *rq, struct http_response *r, struct error *err);
/* All of them, at most ROUTES_MAX. */
const struct route *routes_table(size_t *ret_count);
/* Whether a path needs a key: all under /v1, known or not. */
bool route_needs_key(const char *path);
