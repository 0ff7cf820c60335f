/* endpoint.c: the table of endpoints, and the prefixes that they are written with. */
#include "batch/endpoint.h"

#include <strings.h>

#include "base/attr.h"

#define VERSION "/v1"

/* Kimi has chat alone. rerank, score and messages are vLLM's; images and videos, which OpenAI has,
 * are in no profile here. */
static const struct {
	const char *path;
	bool kimi;
} endpoints[] = {
	{ VERSION "/chat/completions", true }, { VERSION "/completions", false },
	{ VERSION "/embeddings", false },      { VERSION "/responses", false },
	{ VERSION "/moderations", false },     { VERSION "/rerank", false },
	{ VERSION "/score", false },           { VERSION "/messages", false },
};

/* What vendors write before "/chat/completions" and the like: OpenAI and Kimi, Azure (nothing),
 * Zhipu, gateways that keep OpenAI's API below a path of its own. */
static const char *const prefixes[] = { VERSION, "", "/v4", "/openai/v1" };

const char *endpoint_path(struct slice given)
{
	for (size_t p = 0; p < ARRAY_LEN(prefixes); p++) {
		size_t n = strlen(prefixes[p]);
		if (given.n < n || (n > 0 && memcmp(given.p, prefixes[p], n) != 0))
			continue;
		struct slice rest = { given.p + n, given.n - n };
		for (size_t e = 0; e < ARRAY_LEN(endpoints); e++)
			if (slice_is(rest, endpoints[e].path + strlen(VERSION)))
				return endpoints[e].path;
	}
	return NULL;
}

bool endpoint_in_profile(const char *path, enum profile profile)
{
	for (size_t e = 0; e < ARRAY_LEN(endpoints); e++)
		if (strcmp(endpoints[e].path, path) == 0)
			return profile == PROFILE_OPENAI || endpoints[e].kimi;
	return false;
}

static bool begins_with(struct slice text, const char *head)
{
	size_t n = strlen(head);

	return text.n >= n && strncasecmp(text.p, head, n) == 0;
}

bool endpoint_is_url(struct slice given, const char **ret_path)
{
	const char *const schemes[] = { "https://", "http://" };

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (!begins_with(given, schemes[i]))
			continue;
		size_t host = strlen(schemes[i]);
		const char *path = memchr(given.p + host, '/', given.n - host);
		if (ret_path != NULL)
			*ret_path = path == NULL
					    ? NULL
					    : endpoint_path((struct slice){
						      path, given.n - (size_t)(path - given.p) });
		return true;
	}
	return false;
}

void endpoint_list(enum profile profile, struct buf *to)
{
	for (size_t e = 0, listed = 0; e < ARRAY_LEN(endpoints); e++)
		if (endpoint_in_profile(endpoints[e].path, profile))
			buf_printf(to, "%s'%s'", listed++ > 0 ? ", " : "", endpoints[e].path);
}

void endpoint_refusal(struct slice given, enum profile profile, struct buf *to)
{
	const char *path = endpoint_path(given);

	buf_printf(to, "Invalid value: '%.*s'. Supported values are: ",
		   given.n > 200 ? 200 : (int)given.n, given.p);
	endpoint_list(profile, to);
	buf_char(to, '.');
	if (path != NULL)
		buf_printf(to, " '%s' is taken where the server is set to profile: openai.", path);
	else if (endpoint_is_url(given, &path) && path != NULL)
		buf_printf(to, " Write the path alone: '%s'.", path);
	else if (endpoint_is_url(given, NULL))
		buf_text(to, " Write a path alone, without a host.");
}
