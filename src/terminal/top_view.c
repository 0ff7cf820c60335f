/* top_view.c: see top_view.h. */
#include "terminal/top_view.h"

#include "terminal/member.h"
#include "terminal/meter.h"
#include "terminal/text.h"
#include "terminal/words.h"

void top_look_done(struct top_look *l)
{
	json_decref(l->scheduling);
	json_decref(l->orgs);
	json_decref(l->limits);
	json_decref(l->nodes);
	*l = (struct top_look){ 0 };
}

/* ---- columns ---- */

static void put_state(struct table_cell *cell, const json_t *row)
{
	const char *state = member_string(row, "state");

	text_plain(cell->text, slice_of(state));
	if (strcmp(state, "flows") == 0)
		cell->color = COLOR_GREEN;
	else
		cell->color = strcmp(state, "draining") == 0 ? COLOR_YELLOW : COLOR_RED;
}

static void put_cache(struct table_cell *cell, const json_t *row)
{
	if (member_at(row, "engine.cache_use") != NULL)
		buf_printf(cell->text, "%.0f%%", member_real(row, "engine.cache_use") * 100);
}

static void put_rounded(struct table_cell *cell, const json_t *row, const char *path)
{
	char words[24];

	if (!json_is_number(member_at(row, path)))
		return;
	meter_rate(member_real(row, path), words);
	buf_text(cell->text, words);
}

static void put_limit(struct table_cell *cell, const json_t *row)
{
	put_rounded(cell, row, "concurrency_limit");
}

static void put_others(struct table_cell *cell, const json_t *row)
{
	put_rounded(cell, row, "cross_traffic");
}

static void put_slots(struct table_cell *cell, const json_t *row)
{
	put_rounded(cell, row, "slots");
}

static void put_lease(struct table_cell *cell, const json_t *row)
{
	double left_s = member_real(row, "lease_left_s");

	if (!json_is_number(member_at(row, "lease_left_s")))
		return;
	buf_printf(cell->text, "%.0fs", left_s);
	if (left_s <= 0)
		cell->color = COLOR_RED;
}

static void put_driven(struct table_cell *cell, const json_t *row)
{
	const json_t *names = member_at(row, "upstreams");

	for (size_t i = 0; i < json_array_size(names); i++) {
		buf_text(cell->text, i > 0 ? ", " : "");
		member_put(cell->text, json_array_get(names, i));
	}
}

/* What a person has to look at comes last. */
static void put_node_state(struct table_cell *cell, const json_t *row)
{
	const struct {
		const char *words;
		bool is_so;
		enum tty_color color;
	} states[] = {
		{ "leads", member_true(row, "is_leader"), COLOR_NONE },
		{ "draining", member_true(row, "draining"), COLOR_YELLOW },
		{ "version differs", member_true(row, "version_differs"), COLOR_YELLOW },
		{ "config differs", member_true(row, "config_differs"), COLOR_YELLOW },
	};

	bool any = false; /* the buffer has other cells' texts, too */

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (!states[i].is_so)
			continue;
		buf_printf(cell->text, "%s%s", any ? ", " : "", states[i].words);
		cell->color = states[i].color;
		any = true;
	}
}

static void put_suspended(struct table_cell *cell, const json_t *row)
{
	char words[WORDS_BYTES];

	if (member_integer(row, "suspended_at") == 0)
		return;
	words_age(member_integer(row, "suspended_at"), cell->now_s, words);
	buf_printf(cell->text, "suspended %s", words);
	cell->color = COLOR_RED;
}

static const json_t *limit_named(const json_t *org, const char *name)
{
	const json_t *limits = member_at(org, "limits");

	for (size_t i = 0; i < json_array_size(limits); i++)
		if (strcmp(member_string(json_array_get(limits, i), "name"), name) == 0)
			return json_array_get(limits, i);
	return NULL;
}

/* "5", or "5/20" where there is a limit; red where it is used up. */
static void put_use(struct table_cell *cell, const json_t *limit)
{
	int64_t use = member_integer(limit, "use"), most = member_integer(limit, "limit");
	char words[WORDS_BYTES];

	if (limit == NULL)
		return;
	words_number(use, words);
	buf_text(cell->text, words);
	if (most <= 0)
		return;
	words_number(most, words);
	buf_printf(cell->text, "/%s", words);
	if (use >= most)
		cell->color = COLOR_RED;
}

#define PUT_USE(name)                                                      \
	static void put_##name(struct table_cell *cell, const json_t *org) \
	{                                                                  \
		put_use(cell, limit_named(org, #name));                    \
	}
PUT_USE(open_batches)
PUT_USE(enqueued_requests)
PUT_USE(online)
PUT_USE(tokens_per_day)

static void put_own_use(struct table_cell *cell, const json_t *limit)
{
	put_use(cell, limit);
}

static const struct table_column node_columns[] = {
	{ "NODE", "address", .shrinks = true },
	{ "ROLE", "role", .gives_way = 2 },
	{ "LEASE", .put = put_lease, .right = true },
	{ "VERSION", "version", .gives_way = 1 },
	{ "STATE", .put = put_node_state },
	{ "DRIVES", .put = put_driven, .shrinks = true },
};
static const char *const node_plain[] = {
	"id",        "address",  "role",      "lease_left_s",    "version",
	"is_leader", "draining", "upstreams", "version_differs", "config_differs",
	NULL
};

static const struct table_column upstream_columns[] = {
	{ "UPSTREAM", "name", .shrinks = true },
	{ "STATE", .put = put_state },
	{ "BATCH", "batch", TABLE_NUMBER },
	{ "ONLINE", "online", TABLE_NUMBER },
	{ "MOST", "max_concurrency", TABLE_NUMBER, .gives_way = 4 },
	{ "WEIGHT", "weight", TABLE_NUMBER, .gives_way = 5 },
	{ "ENGINE", "engine.kind", .gives_way = 1 },
	{ "RUNNING", "engine.running", TABLE_NUMBER, .gives_way = 2 },
	{ "WAITING", "engine.waiting", TABLE_NUMBER, .gives_way = 2 },
	{ "CACHE", .put = put_cache, .right = true, .gives_way = 3 },
	{ "SAID", "said", .shrinks = true, .gives_way = 6 },
};
static const char *const upstream_plain[] = {
	"name",   "state",       "batch",          "online",         "max_concurrency",
	"weight", "engine.kind", "engine.running", "engine.waiting", "engine.cache_use",
	"said",   NULL
};

static const struct table_column lane_columns[] = {
	{ "MODEL", "model", .shrinks = true },
	{ "UPSTREAM", "upstream", .shrinks = true, .gives_way = 2 },
	{ "BATCH", "batch", TABLE_NUMBER },
	{ "ONLINE", "online", TABLE_NUMBER },
	{ "LIMIT", .put = put_limit, .right = true },
	{ "WHY", "reason" },
	{ "RESERVE", "reserve", TABLE_NUMBER, .gives_way = 3 },
	{ "OTHERS", .put = put_others, .right = true, .gives_way = 4 },
};
static const char *const lane_plain[] = {
	"upstream", "model",   "batch",         "online", "concurrency_limit",
	"reason",   "reserve", "cross_traffic", NULL
};

static const struct table_column model_columns[] = {
	{ "MODEL", "name", .shrinks = true },
	{ "BATCHES", "batches", TABLE_NUMBER },
	{ "SLOTS", .put = put_slots, .right = true },
	{ "WAITING AGAIN", "waiting_again", TABLE_NUMBER },
};
static const char *const model_plain[] = { "name", "batches", "slots", "waiting_again", NULL };

static const struct table_column org_columns[] = {
	{ "ORGANIZATION", "name", .shrinks = true },
	{ "WEIGHT", "weight", TABLE_NUMBER, .gives_way = 2 },
	{ "KEYS", "keys", TABLE_NUMBER, .gives_way = 3 },
	{ "BATCHES", .put = put_open_batches, .right = true },
	{ "REQUESTS", .put = put_enqueued_requests, .right = true },
	{ "ONLINE", .put = put_online, .right = true },
	{ "TOKENS TODAY", .put = put_tokens_per_day, .right = true, .gives_way = 1 },
	{ "STATE", .put = put_suspended },
};
/* Limits are objects in an array: a row has their uses as members (org_row()). */
static const char *const org_plain[] = { "name",
					 "weight",
					 "keys",
					 "suspended_at",
					 "use.open_batches",
					 "use.enqueued_requests",
					 "use.online",
					 "use.tokens_per_day",
					 NULL };

static const struct table_column limit_columns[] = {
	{ "LIMIT", "name" },
	{ "USE", .put = put_own_use, .right = true },
	{ "RESETS", "resets_at", TABLE_AGE },
};
static const char *const limit_plain[] = { "name", "use", "limit", "resets_at", NULL };

/* ---- rows ---- */

enum { NODES, UPSTREAMS, LANES, MODELS, ORGS, LIMITS, SECTIONS };

static const struct {
	const char *kind;
	const struct table_column *columns;
	unsigned count;
	const char *const *plain;
} sections[SECTIONS] = {
	[NODES] = { "node", node_columns, ARRAY_LEN(node_columns), node_plain },
	[UPSTREAMS] = { "upstream", upstream_columns, ARRAY_LEN(upstream_columns), upstream_plain },
	[LANES] = { "lane", lane_columns, ARRAY_LEN(lane_columns), lane_plain },
	[MODELS] = { "model", model_columns, ARRAY_LEN(model_columns), model_plain },
	[ORGS] = { "org", org_columns, ARRAY_LEN(org_columns), org_plain },
	[LIMITS] = { "limit", limit_columns, ARRAY_LEN(limit_columns), limit_plain },
};

/* Lanes stand in their upstreams; a row names its own. NULL: no memory. */
static json_t *lane_rows(const json_t *scheduling)
{
	const json_t *upstreams = member_at(scheduling, "upstreams");
	json_t *rows = json_array();

	for (size_t u = 0; u < json_array_size(upstreams); u++) {
		const json_t *upstream = json_array_get(upstreams, u);
		const json_t *lanes = member_at(upstream, "lanes");
		for (size_t i = 0; i < json_array_size(lanes); i++) {
			json_t *row = json_copy(json_array_get(lanes, i));
			json_object_set(row, "upstream", json_object_get(upstream, "name"));
			json_array_append_new(rows, row);
		}
	}
	return rows;
}

static json_t *org_row(const json_t *org)
{
	json_t *row = json_copy((json_t *)org), *use = json_object();
	const json_t *limits = member_at(org, "limits");

	for (size_t i = 0; i < json_array_size(limits); i++) {
		const json_t *limit = json_array_get(limits, i);
		json_object_set(use, member_string(limit, "name"), json_object_get(limit, "use"));
	}
	json_object_set_new(row, "use", use);
	return row;
}

static json_t *org_rows(const json_t *orgs)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < json_array_size(orgs); i++)
		json_array_append_new(rows, org_row(json_array_get(orgs, i)));
	return rows;
}

/* NULL: there is one, which is the server itself. */
static json_t *node_rows(json_t *nodes)
{
	return json_array_size(nodes) > 1 ? json_incref(nodes) : NULL;
}

/* The caller's; an array, or NULL. */
static json_t *rows_of(const struct top_look *l, unsigned section)
{
	switch (section) {
	case NODES:
		return node_rows(l->nodes);
	case UPSTREAMS:
		return json_incref((json_t *)member_at(l->scheduling, "upstreams"));
	case LANES:
		return lane_rows(l->scheduling);
	case MODELS:
		return json_incref((json_t *)member_at(l->scheduling, "models"));
	case ORGS:
		return org_rows(l->orgs);
	default:
		return json_incref(l->limits);
	}
}

/* ---- forms ---- */

static void put_head(const struct top_look *l, const char *at, int64_t now_s, struct buf *to)
{
	char time[WORDS_BYTES];
	int64_t when = member_integer(l->scheduling, "at");

	words_time(when > 0 ? when : now_s, time);
	text_plain(to, slice_of(at));
	buf_printf(to, "  %s\n", time);
}

void top_tables(const struct top_look *l, const char *at, size_t width, bool colored, int64_t now_s,
		struct buf *to)
{
	put_head(l, at, now_s, to);
	for (unsigned s = 0; s < SECTIONS; s++) {
		json_t *rows = rows_of(l, s);
		struct table t = { sections[s].columns, sections[s].count, width, colored, now_s };
		if (json_array_size(rows) > 0)
			buf_char(to, '\n');
		for (size_t i = 0; i < json_array_size(rows); i++)
			table_row(&t, json_array_get(rows, i), to);
		table_end(&t, to);
		json_decref(rows);
	}
}

void top_plain(const struct top_look *l, struct buf *to)
{
	for (unsigned s = 0; s < SECTIONS; s++) {
		json_t *rows = rows_of(l, s);
		for (size_t i = 0; i < json_array_size(rows); i++) {
			buf_text(to, sections[s].kind);
			for (const char *const *path = sections[s].plain; *path != NULL; path++) {
				buf_char(to, '\t');
				member_put(to, member_at(json_array_get(rows, i), *path));
			}
			buf_char(to, '\n');
		}
		json_decref(rows);
	}
}

static void put_member(struct buf *to, const char *name, const json_t *value)
{
	buf_printf(to, "\"%s\":", name);
	if (value == NULL)
		buf_text(to, "null");
	else
		member_put_json(to, value);
}

void top_json(const struct top_look *l, struct buf *to)
{
	buf_char(to, '{');
	put_member(to, "scheduling", l->scheduling);
	buf_char(to, ',');
	put_member(to, "orgs", l->orgs);
	buf_char(to, ',');
	put_member(to, "limits", l->limits);
	buf_char(to, ',');
	put_member(to, "nodes", l->nodes);
	buf_text(to, "}\n");
}
