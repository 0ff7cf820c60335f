/* weight.c: the members of a body that make an engine do its work several times over. */
#include "batch/weight.h"

#include "base/attr.h"

/* What counts at each endpoint; at those that are not here a request is one. */
struct weighty {
	const char *endpoint;
	struct slice list; /* of inputs, its name in quotes; n == 0: none */
	bool indexed;      /* the index counts that list */
	bool n, best_of;   /* these count: so many answers to each input */
};

static const struct weighty weighty[] = {
	{ "/v1/chat/completions", .n = true },
	{ "/v1/completions", SLICE("\"prompt\""), .n = true, .best_of = true },
	{ "/v1/embeddings", SLICE("\"input\""), .indexed = true },
	{ "/v1/rerank", SLICE("\"documents\"") },
	{ "/v1/score", SLICE("\"text_2\"") },
};
static const struct slice n_name = SLICE("\"n\""), best_of_name = SLICE("\"best_of\"");

/* As the body says; the last of members of one name counts, as it does for the engines. */
struct counted {
	uint64_t inputs, n, best_of;
};

static const char *space_skip(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* Whether a member of that name may be there, at any depth, with a value that begins with `first`
 * ('\0': with anything). A quote inside a string is escaped, so texts hardly ever look like it. */
static bool may_have(struct slice body, struct slice name, char first)
{
	const char *p = body.p, *end = body.p + body.n;

	while ((p = memmem(p, (size_t)(end - p), name.p, name.n)) != NULL) {
		p = space_skip(p + name.n, end);
		if (p == end || *p != ':')
			continue;
		p = space_skip(p + 1, end);
		if (p < end && (first == '\0' || *p == first))
			return true;
	}
	return false;
}

/* `key` as json_member() gives it. */
static bool is_named(struct slice key, struct slice name)
{
	return key.n + 2 == name.n && memcmp(key.p, name.p + 1, key.n) == 0;
}

uint32_t inputs_count(struct json *j)
{
	struct slice text;
	uint32_t count = 0;
	bool tokens = false;

	if (json_peek(j) != JSON_ARRAY) {
		(void)json_skip(j, &text);
		return 1;
	}
	json_next(j);
	while (json_element(j)) {
		tokens |= json_peek(j) == JSON_NUMBER;
		if (!json_skip(j, &text))
			break;
		count++;
	}
	return tokens || count == 0 ? 1 : count;
}

/* A count as engines take it: 4, 4.0, 4e0, and "4" too. What they refuse, or take for none, is
 * 1. */
static uint64_t count_read(struct json *j)
{
	enum json_type type = json_peek(j);
	struct slice text;
	uint64_t n;

	if (!json_skip(j, &text))
		return 1;
	if (type == JSON_STRING)
		text = (struct slice){ text.p + 1, text.n - 2 };
	else if (type != JSON_NUMBER)
		return 1;
	return json_whole(text, &n) && n > 0 ? n : 1;
}

/* False: it is no JSON object. */
static bool body_walk(struct slice body, const struct weighty *w, struct counted *ret)
{
	struct json j;
	struct slice key, value;

	json_init(&j, body);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		if (w->n && is_named(key, n_name))
			ret->n = count_read(&j);
		else if (w->best_of && is_named(key, best_of_name))
			ret->best_of = count_read(&j);
		else if (is_named(key, w->list))
			ret->inputs = inputs_count(&j);
		else if (!json_skip(&j, &value))
			break;
	}
	return json_end(&j);
}

static uint64_t at_most(uint64_t n)
{
	return n < UNITS_MAX ? n : UNITS_MAX;
}

unsigned body_units(struct slice body, const char *endpoint, uint32_t inputs)
{
	struct counted c = { 1, 1, 1 };
	const struct weighty *w = weighty, *end = weighty + ARRAY_LEN(weighty);

	while (w < end && strcmp(w->endpoint, endpoint) != 0)
		w++;
	if (w == end || body.n == 0)
		return 1;
	if (w->indexed && inputs > 0)
		return (unsigned)at_most(inputs);
	bool walk = (w->list.n > 0 && may_have(body, w->list, '[')) ||
		    (w->n && may_have(body, n_name, '\0')) ||
		    (w->best_of && may_have(body, best_of_name, '\0'));
	if (!walk || !body_walk(body, w, &c))
		return 1;
	uint64_t choices = c.n > c.best_of ? c.n : c.best_of;
	return (unsigned)at_most(at_most(c.inputs) * at_most(choices));
}
