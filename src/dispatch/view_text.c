#include "dispatch/view_text.h"

#include <stdint.h>
#include <string.h>

#include "base/record.h"

#define VIEW_READ_MAX (64u << 20)
#define SLOTS_END 1e9 /* no node has so many */

#define LIMIT_FIELDS(of)                                                                       \
	RECORD(of, limit.requests), RECORD(of, limit.reason), RECORD(of, limit.batch),         \
		RECORD(of, limit.online), RECORD(of, limit.others), RECORD(of, limit.reserve), \
		RECORD(of, limit.best_per_s), RECORD(of, limit.work_ms), RECORD(of, limit.work_s)
#define U(member) RECORD(struct view_upstream, member)
#define L(member) RECORD(struct view_lane, member)
#define D(member) RECORD(struct view_decision, member)
#define M(member) RECORD(struct view_model, member)
#define F(member) RECORD(struct view_flow, member)
#define V(member) RECORD(struct scheduling_view, member)

/* A lane is of the upstream before it, a decision of the lane. */
static const struct record_field upstream_fields[] = {
	U(name),   U(retired), U(draining),        U(state), U(said),
	U(up),     U(weight),  U(max_concurrency), U(batch), U(online),
	U(engine), U(running), U(waiting),         U(cache), U(driven),
};
static const struct record_field lane_fields[] = { L(model), L(in_flight), L(not_durable),
						   LIMIT_FIELDS(struct view_lane) };
static const struct record_field decision_fields[] = { D(at), LIMIT_FIELDS(struct view_decision) };
static const struct record_field model_fields[] = { M(name), M(slots), M(waiting_again) };
static const struct record_field flow_fields[] = { F(model), F(org), F(batch), F(waiting_again) };
static const struct record_field online_fields[] = { V(online_requests), V(online_waiting) };

enum line { UPSTREAM, LANE, DECISION, MODEL, OTHERS, FLOW, ONLINE, LINES };

#define FIELDS(of) of##_fields, ARRAY_LEN(of##_fields)

static const struct line_kind {
	const char *tag;
	const struct record_field *fields;
	size_t n, size; /* of the struct; 0: of the view itself */
} lines[] = {
	[UPSTREAM] = { "upstream", FIELDS(upstream), sizeof(struct view_upstream) },
	[LANE] = { "lane", FIELDS(lane), sizeof(struct view_lane) },
	[DECISION] = { "decision", FIELDS(decision), sizeof(struct view_decision) },
	[MODEL] = { "model", FIELDS(model), sizeof(struct view_model) },
	[OTHERS] = { "others", FIELDS(model), sizeof(struct view_model) },
	[FLOW] = { "flow", FIELDS(flow), sizeof(struct view_flow) },
	[ONLINE] = { "online", FIELDS(online), 0 },
};

/* ---- writing ---- */

static void line_write(struct buf *to, enum line line, const void *of)
{
	record_write(to, lines[line].tag, lines[line].fields, lines[line].n, of);
}

static void lane_write(struct buf *to, const struct view_lane *lane)
{
	line_write(to, LANE, lane);
	for (size_t i = 0; i < lane->decision_count; i++)
		line_write(to, DECISION, &lane->decisions[i]);
}

static void upstream_write(struct buf *to, const struct view_upstream *u)
{
	if (!u->driven && u->batch == 0 && u->online == 0)
		return;
	line_write(to, UPSTREAM, u);
	for (size_t i = 0; i < u->lane_count; i++)
		if (u->driven || view_lane_is_busy(&u->lanes[i]))
			lane_write(to, &u->lanes[i]);
}

static bool flow_is_same(const struct view_flow *a, const struct view_flow *b)
{
	return slice_eq(a->batch, b->batch) && slice_eq(a->model, b->model);
}

/* With those after it that are the same, unless there is one before it. */
static void flow_write(struct buf *to, const struct scheduling_view *v, size_t at)
{
	struct view_flow all = v->flows[at];

	for (size_t i = 0; i < at; i++)
		if (flow_is_same(&v->flows[i], &all))
			return;
	for (size_t i = at + 1; i < v->flow_count; i++)
		if (flow_is_same(&v->flows[i], &all))
			all.waiting_again += v->flows[i].waiting_again;
	line_write(to, FLOW, &all);
}

void view_write(struct buf *to, const struct scheduling_view *v)
{
	line_write(to, ONLINE, v);
	for (size_t i = 0; i < v->upstream_count; i++)
		upstream_write(to, &v->upstreams[i]);
	for (size_t i = 0; i < v->model_count + v->other_models; i++) {
		struct view_model m = v->models[i];
		m.slots = view_slots_rounded(m.slots);
		line_write(to, i < v->model_count ? MODEL : OTHERS, &m);
	}
	for (size_t i = 0; i < v->flow_count; i++)
		flow_write(to, v, i);
}

/* ---- reading ---- */

struct view_reading {
	char *next[LINES]; /* where the next of each goes */
	struct view_upstream *upstream;
	struct view_lane *lane;
	struct view_model others;
	struct scheduling_view *view;
};

/* LINES: one that this program does not know. */
static enum line line_of(const char *tag, size_t n)
{
	unsigned i = 0;

	while (i < LINES && (strlen(lines[i].tag) != n || memcmp(lines[i].tag, tag, n) != 0))
		i++;
	return (enum line)i;
}

static void lines_count(const char *text, size_t count[static LINES + 1])
{
	while (*text != '\0') {
		count[line_of(text, strcspn(text, "\t\n"))]++;
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
}

/* Arrays one behind the other; each struct's size is a multiple of what it is aligned to. */
static bool reading_begin(struct view_reading *r, const char *text, struct scheduling_view *ret)
{
	size_t count[LINES + 1] = { [MODEL] = 1 }, bytes = 0, at = 0; /* the row of the others */

	lines_count(text, count);
	for (unsigned i = 0; i < LINES; i++)
		bytes += count[i] * lines[i].size;
	*ret = (struct scheduling_view){ .memory = BUF(VIEW_READ_MAX) };
	if (!buf_reserve(&ret->memory, bytes))
		return false;
	*r = (struct view_reading){ .view = ret };
	for (unsigned i = 0; i < LINES; i++) {
		r->next[i] = ret->memory.p + at;
		at += count[i] * lines[i].size;
	}
	ret->upstreams = (const void *)r->next[UPSTREAM];
	ret->lanes = (const void *)r->next[LANE];
	ret->models = (const void *)r->next[MODEL];
	ret->flows = (const void *)r->next[FLOW];
	return true;
}

static void upstream_add(struct view_reading *r, struct view_upstream *u)
{
	r->upstream = u;
	r->lane = NULL;
	u->lanes = (const void *)r->next[LANE];
	r->view->upstream_count++;
}

static void lane_add(struct view_reading *r, struct view_lane *lane)
{
	r->lane = lane;
	lane->upstream = r->upstream->name;
	lane->retired = r->upstream->retired;
	lane->decisions = (const void *)r->next[DECISION];
	r->upstream->lane_count++;
	r->view->lane_count++;
}

/* It indexes what it is called. */
static bool upstream_makes_sense(const struct view_upstream *u)
{
	return u->state <= STALL_REFUSED && stall_words(u->state)->upstream != NULL;
}

/* They are cast where they are rounded. */
static bool model_makes_sense(const struct view_model *m)
{
	return m->slots >= 0 && m->slots < SLOTS_END;
}

/* In its place; false: nothing it could be of, or nothing that could be. */
static bool line_add(struct view_reading *r, enum line line, void *of)
{
	switch (line) {
	case UPSTREAM:
		upstream_add(r, of);
		return upstream_makes_sense(r->upstream);
	case LANE:
		if (r->upstream != NULL)
			lane_add(r, of);
		return r->upstream != NULL;
	case DECISION:
		if (r->lane != NULL)
			r->lane->decision_count++;
		return r->lane != NULL;
	case MODEL:
		r->view->model_count++;
		return model_makes_sense(of);
	case OTHERS:
		r->view->other_models = true;
		return model_makes_sense(of);
	case FLOW:
		r->view->flow_count++;
		return true;
	case ONLINE:
	case LINES:
		break;
	}
	return true;
}

static bool line_read(struct view_reading *r, const char *tag, char *line)
{
	enum line kind = line_of(tag, strlen(tag));

	if (kind == LINES)
		return true;
	void *to = kind == ONLINE   ? (void *)r->view
		   : kind == OTHERS ? (void *)&r->others
				    : (void *)r->next[kind];
	if (kind != ONLINE)
		memset(to, 0, lines[kind].size);
	if (!record_read(line, lines[kind].fields, lines[kind].n, to))
		return false;
	r->next[kind] += lines[kind].size;
	return line_add(r, kind, to);
}

bool view_read(char *text, struct scheduling_view *ret, struct error *err)
{
	struct view_reading r;
	char *tag, *line;

	if (!reading_begin(&r, text, ret))
		return fail_memory(err);
	while ((tag = record_next(&text, &line)) != NULL) {
		if (!line_read(&r, tag, line)) {
			scheduling_view_done(ret);
			return fail(err, ERR_INVALID, "a view's line makes no sense: %.40s", tag);
		}
	}
	memcpy(r.next[MODEL], &r.others, sizeof(r.others));
	return true;
}
