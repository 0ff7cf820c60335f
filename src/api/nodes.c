/* nodes.c: a row for each node, of the lists of the last look. */
#include "api/nodes.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/layout.h"
#include "base/memory.h"
#include "base/sys.h"
#include "node/node.h"

struct node_line {
	char id[17];
	const char *address, *version, *role;
	bool is_self, is_leader, draining, version_differs, config_differs;
	double lease_left_s; /* NAN: unknown */
	struct owner owner;
	const struct nodes_view *of;
};

/* Those in the name of this epoch of it. */
static void put_upstreams(struct buf *to, const void *row)
{
	const struct node_line *line = row;
	bool any = false;

	buf_char(to, '[');
	for (size_t i = 0; i < line->of->upstream_count; i++) {
		const struct upstream_seen *u = &line->of->upstreams[i];
		if (u->is_free || u->owner.node != line->owner.node ||
		    u->owner.epoch != line->owner.epoch)
			continue;
		buf_text(to, any ? "," : "");
		buf_json_string(to, slice_of(u->upstream));
		any = true;
	}
	buf_char(to, ']');
}

static const struct json_member node_members[] = {
	{ "id", COLUMN(struct node_line, id) },
	{ "object", .literal = "\"lowtide.node\"" },
	{ "address", COLUMN(struct node_line, address) },
	{ "version", COLUMN(struct node_line, version) },
	{ "role", COLUMN(struct node_line, role) },
	{ "is_self", COLUMN(struct node_line, is_self) },
	{ "is_leader", COLUMN(struct node_line, is_leader) },
	{ "lease_left_s", COLUMN(struct node_line, lease_left_s), .decimals = 1 },
	{ "draining", COLUMN(struct node_line, draining) },
	{ "upstreams", .write = put_upstreams },
	{ "version_differs", COLUMN(struct node_line, version_differs) },
	{ "config_differs", COLUMN(struct node_line, config_differs) },
};

/* ---- what differs ---- */

typedef const char *(*said_fn)(const struct node_seen *seen);

static const char *version_of(const struct node_seen *seen)
{
	return seen->version;
}

/* A role's mark may stand before the digest. */
static const char *digest_of(const struct node_seen *seen)
{
	const char *mark = strrchr(seen->config, ' ');

	return mark != NULL ? mark + 1 : seen->config;
}

/* What most of them say. */
static const char *usual(const struct nodes_view *v, said_fn said)
{
	const char *ret = "";
	size_t most = 0;

	for (size_t i = 0; i < v->node_count; i++) {
		size_t alike = 0;
		for (size_t k = 0; k < v->node_count; k++)
			alike += strcmp(said(&v->nodes[i]), said(&v->nodes[k])) == 0;
		if (alike > most) {
			most = alike;
			ret = said(&v->nodes[i]);
		}
	}
	return ret;
}

/* ---- the list ---- */

static double seconds_of(int64_t us)
{
	return us > 0 ? (double)us / 1e6 : 0;
}

/* As node_is_leader() has it; NOBODY: none. */
static uint64_t leader_of(const struct nodes_view *v)
{
	uint64_t least = UINT64_MAX;

	if (v->fault[0] != '\0')
		return NOBODY;
	for (size_t i = 0; i < v->node_count; i++)
		if (v->nodes[i].lease_left_us > 0 && v->nodes[i].id < least)
			least = v->nodes[i].id;
	return least == UINT64_MAX ? NOBODY : least;
}

static void line_set(struct node_line *line, const struct nodes_view *v,
		     const struct node_seen *seen)
{
	bool is_known = v->fault[0] == '\0';

	*line = (struct node_line){ .address = seen->address,
				    .version = seen->version,
				    .role = node_is_api(seen) ? "api" : "driver",
				    .is_self = seen->id == v->self,
				    .is_leader = seen->id == leader_of(v),
				    .draining = seen->draining,
				    .lease_left_s = is_known ? seconds_of(seen->lease_left_us)
							     : NAN,
				    .owner = { seen->id, seen->epoch },
				    .of = v };
	snprintf(line->id, sizeof(line->id), "%016" PRIx64, seen->id);
}

bool nodes_write(struct buf *to, const struct nodes_view *v, struct error *err)
{
	AUTO(auto_free) struct node_line *lines = calloc(v->node_count + 1, sizeof(*lines));
	const char *version = usual(v, version_of), *digest = usual(v, digest_of);

	if (lines == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < v->node_count; i++) {
		line_set(&lines[i], v, &v->nodes[i]);
		lines[i].version_differs = strcmp(version, version_of(&v->nodes[i])) != 0;
		lines[i].config_differs = strcmp(digest, digest_of(&v->nodes[i])) != 0;
	}
	buf_printf(to, "{\"object\":\"list\",\"clustered\":%s,\"fault\":",
		   v->is_node ? "true" : "false");
	if (v->fault[0] != '\0')
		buf_json_string(to, slice_of(v->fault));
	else
		buf_text(to, "null");
	buf_text(to, ",\"data\":");
	array_write(to, node_members, ARRAY_LEN(node_members), lines, v->node_count,
		    sizeof(*lines));
	buf_char(to, '}');
	return true;
}

bool nodes_get(struct request *rq, struct http_response *r, struct error *err)
{
	struct node *node = pipeline_node(rq->api->pipeline);
	AUTO(auto_free) struct node_seen *nodes = NULL;
	AUTO(auto_free) struct upstream_seen *upstreams = NULL;
	struct nodes_view v = { .is_node = node != NULL };

	if (node == NULL)
		return nodes_write(&r->body, &v, err);
	v.self = node_owner(node).node;
	(void)node_is_well(node, v.fault, sizeof(v.fault));
	v.nodes = nodes = node_list(node, &v.node_count);
	v.upstreams = upstreams = node_upstream_list(node, &v.upstream_count);
	if (nodes == NULL || upstreams == NULL)
		return fail_memory(err);
	return nodes_write(&r->body, &v, err);
}

/* ---- figures ---- */

static void figures_of(const struct node_seen *nodes, size_t n, struct owner me,
		       struct node_figures *ret)
{
	for (size_t i = 0; i < n; i++) {
		ret->nodes += nodes[i].lease_left_us > 0;
		if (nodes[i].id == me.node && nodes[i].epoch == me.epoch)
			ret->driven = nodes[i].driven;
	}
}

bool nodes_figures(struct pipeline *p, struct node_figures *ret, struct error *err)
{
	struct node *node = pipeline_node(p);
	char why[800];
	size_t n;

	*ret = (struct node_figures){ .is_node = node != NULL };
	if (node == NULL)
		return true;
	AUTO(auto_free) struct node_seen *nodes = node_list(node, &n);
	if (nodes == NULL)
		return fail_memory(err);
	struct owner me = node_owner(node);
	ret->lease_s = seconds_of(node_deadline_us(node) - (int64_t)sys.monotonic_us());
	ret->is_leader = node_is_leader(node);
	ret->spans = pipeline_spans(p);
	ret->buried = me.epoch - 1; /* it grows by each */
	figures_of(nodes, n, me, ret);
	if (!node_is_well(node, why, sizeof(why)))
		ret->nodes = NAN;
	return true;
}
