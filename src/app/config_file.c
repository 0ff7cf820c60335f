/* config_file.c: the YAML file, by libyaml's document tree: every node has its line. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "app/config_impl.h"

/* ---- nodes ---- */

struct reader {
	struct config *config;
	yaml_document_t *document;
	struct error *err;
};

static struct origin origin_of(const struct reader *r, const yaml_node_t *node)
{
	return (struct origin){ LAYER_FILE, r->config->file, node->start_mark.line + 1 };
}

/* The text of a scalar, or NULL where it is a list, a group or holds a NUL byte. What YAML takes as
 * "no value" is the empty text. */
static const char *scalar_text(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE)
		return NULL;
	const char *text = (const char *)node->data.scalar.value;
	if (strlen(text) != node->data.scalar.length)
		return NULL;
	bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return plain && (strcmp(text, "~") == 0 || strcmp(text, "null") == 0) ? "" : text;
}

static const char *node_kind(const yaml_node_t *node)
{
	return node->type == YAML_SEQUENCE_NODE  ? "a list"
	       : node->type == YAML_MAPPING_NODE ? "a group of settings"
						 : "a text with a NUL byte";
}

/* Calls `each` for every member of a mapping; stops at the first false. */
static bool each_member(struct reader *r, const yaml_node_t *mapping,
			bool (*each)(struct reader *r, void *ctx, const char *key,
				     const struct origin *at, const yaml_node_t *value),
			void *ctx)
{
	const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;

	for (; pair < mapping->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(r->document, pair->key);
		const yaml_node_t *value = yaml_document_get_node(r->document, pair->value);
		struct origin at = origin_of(r, key);
		const char *text = scalar_text(key);
		if (text == NULL)
			return fail_at(r->err, &at, node_kind(key), "is not the name of a setting");
		if (!each(r, ctx, text, &at, value))
			return false;
	}
	return true;
}

static bool read_models(struct reader *r, const struct setting *s, const char *key,
			const yaml_node_t *list, char ***ret)
{
	struct origin at = origin_of(r, list);

	if (list->type != YAML_SEQUENCE_NODE) {
		const char *text = scalar_text(list);
		return text != NULL ? fail_text(s, &at, key, text, r->err)
				    : fail_value(s, &at, key, node_kind(list), r->err);
	}
	const yaml_node_item_t *item = list->data.sequence.items.start;
	size_t n = 0, count = (size_t)(list->data.sequence.items.top - item);
	if (count == 0)
		return fail_value(s, &at, key, "an empty list", r->err);
	char **models = calloc(count + 1, sizeof(*models));
	if (models == NULL)
		return fail_memory(r->err);
	*ret = models;
	for (; item < list->data.sequence.items.top; item++) {
		const yaml_node_t *node = yaml_document_get_node(r->document, *item);
		const char *text = scalar_text(node);
		at = origin_of(r, node);
		if (text == NULL || text[0] == '\0')
			return fail_at(r->err, &at, key, "a name in this list is missing");
		models[n] = strdup(text);
		if (models[n++] == NULL)
			return fail_memory(r->err);
	}
	return true;
}

/* An entry of a list, and the group in it whose members are read; NULL: its own. */
struct entry_place {
	const struct entry_kind *kind;
	struct config_entry entry;
	const char *group;
};

/* One member of it; `ctx` is a struct entry_place. */
static bool read_entry_member(struct reader *r, void *ctx, const char *name,
			      const struct origin *at, const yaml_node_t *value)
{
	const struct entry_place *in = ctx;
	const struct entry_kind *kind = in->kind;
	char key[128];

	snprintf(key, sizeof(key), "%s%s%.80s", in->group != NULL ? in->group : "",
		 in->group != NULL ? "." : "", name);
	const struct setting *s = setting_find(kind->table, kind->count, key);
	const char *text = scalar_text(value);

	if (s == NULL && setting_is_group(kind->table, kind->count, key)) {
		if (value->type == YAML_MAPPING_NODE)
			return each_member(r, value, read_entry_member,
					   &(struct entry_place){ kind, in->entry, key });
		return (text != NULL && text[0] == '\0') ||
		       fail_at(r->err, at, key,
			       "this is a group: its settings stand below it, indented");
	}
	if (s == NULL)
		return fail_unknown(kind->table, kind->count, at, key, r->err);
	void *member = setting_member(s, in->entry.members);
	uint64_t bit = UINT64_C(1) << (s - kind->table);
	if (*in->entry.given & bit)
		return fail_at(r->err, at, key, "given twice");
	*in->entry.given |= bit;
	if (s->type == SETTING_NAMES)
		return read_models(r, s, key, value, member);
	if (text == NULL)
		return fail_value(s, at, key, node_kind(value), r->err);
	return setting_read(s, text, member) || fail_text(s, at, key, text, r->err);
}

static bool read_entries(struct reader *r, const struct setting *s, const struct origin *at,
			 const yaml_node_t *list)
{
	const struct entry_kind upstreams = { upstream_settings, upstream_setting_count, "a url",
					      upstream_entry_add };
	const struct entry_kind webhooks = { webhook_settings, webhook_setting_count,
					     "a name, a url and a secret", webhook_entry_add };
	const struct entry_kind prices = { price_settings, price_setting_count,
					   "a model, input, output and a currency",
					   price_entry_add };
	const struct entry_kind *kind = s->type == SETTING_UPSTREAMS ? &upstreams
					: s->type == SETTING_PRICES  ? &prices
								     : &webhooks;

	given_of(r->config, s)->origin = *at;
	const yaml_node_item_t *item = list->data.sequence.items.start;
	for (; item < list->data.sequence.items.top; item++) {
		const yaml_node_t *node = yaml_document_get_node(r->document, *item);
		struct origin entry_at = origin_of(r, node);
		struct entry_place in = { .kind = kind };
		if (node->type != YAML_MAPPING_NODE)
			return fail_at(r->err, &entry_at, s->key,
				       "an entry of the list is a group with at least %s",
				       kind->wanted);
		if (!kind->add(r->config, &entry_at, &in.entry))
			return fail_memory(r->err);
		if (!each_member(r, node, read_entry_member, &in))
			return false;
	}
	return true;
}

static bool read_setting(struct reader *r, const struct setting *s, const struct origin *at,
			 const yaml_node_t *value)
{
	const struct given *g = given_of(r->config, s);
	const char *text = scalar_text(value);

	if (g->origin.layer == LAYER_FILE)
		return fail_at(r->err, at, s->key, "given twice, first on line %" PRIu64,
			       g->origin.line);
	bool is_list = s->type == SETTING_UPSTREAMS || s->type == SETTING_PRICES ||
		       s->type == SETTING_WEBHOOKS;
	if (is_list && value->type == YAML_SEQUENCE_NODE)
		return read_entries(r, s, at, value);
	if (is_list && text != NULL)
		return fail_text(s, at, s->key, text, r->err);
	if (text == NULL)
		return fail_value(s, at, s->key, node_kind(value), r->err);
	return config_give(r->config, s, at, text, r->err);
}

/* One member of the file, or of a group in it; `ctx` is the group's name or NULL. */
static bool read_member(struct reader *r, void *ctx, const char *name, const struct origin *at,
			const yaml_node_t *value)
{
	const char *group = ctx;
	char key[128];
	int n = snprintf(key, sizeof(key), "%s%s%s", group != NULL ? group : "",
			 group != NULL ? "." : "", name);

	const struct setting *s = n < (int)sizeof(key) ? setting_find(settings, setting_count, key)
						       : NULL;
	if (s != NULL)
		return read_setting(r, s, at, value);
	if (n >= (int)sizeof(key) || !setting_is_group(settings, setting_count, key))
		return fail_unknown(settings, setting_count, at, key, r->err);
	if (value->type == YAML_MAPPING_NODE)
		return each_member(r, value, read_member, key);
	const char *text = scalar_text(value);
	if (text != NULL && text[0] == '\0')
		return true; /* all its settings are commented out */
	return fail_at(r->err, at, key, "this is a group: its settings stand below it, indented");
}

static bool read_document(struct config *c, yaml_document_t *document, struct error *err)
{
	struct reader r = { c, document, err };
	const yaml_node_t *root = yaml_document_get_root_node(document);

	if (root == NULL)
		return true;
	struct origin at = origin_of(&r, root);
	const char *text = scalar_text(root);
	if (text != NULL && text[0] == '\0')
		return true;
	if (root->type != YAML_MAPPING_NODE)
		return fail_at(err, &at, "the file", "%s where settings should stand",
			       text != NULL ? "a text" : node_kind(root));
	return each_member(&r, root, read_member, NULL);
}

static bool fail_yaml(const struct config *c, const yaml_parser_t *parser, struct error *err)
{
	const char *problem = parser->problem != NULL ? parser->problem : "unreadable";
	uint64_t line = parser->problem_mark.line + 1;
	bool tab = strstr(problem, "cannot start any token") != NULL;

	if (parser->error == YAML_MEMORY_ERROR)
		return fail_memory(err);
	(void)!fail_param(err, NULL, NULL, "%.200s:%" PRIu64 ": this is not YAML: %.200s%s",
			  c->file, line, problem,
			  tab ? " (indent with spaces, not tabs, and quote special characters)"
			      : "");
	err->line = line;
	return false;
}

static void close_file(FILE **file)
{
	if (*file != NULL)
		fclose(*file);
}

bool config_read_file(struct config *c, struct error *err)
{
	AUTO(close_file) FILE *file = fopen(c->file, "re");
	AUTO(yaml_parser_delete) yaml_parser_t parser;
	yaml_document_t document;

	if (!yaml_parser_initialize(&parser))
		return fail_memory(err);
	if (file == NULL || fgetc(file) == EOF) { /* a directory opens, but does not read */
		if (file != NULL && feof(file))
			return true;
		return fail_param(err, NULL, NULL, "cannot read the configuration %.200s: %s",
				  c->file, strerror(errno));
	}
	rewind(file);
	yaml_parser_set_input_file(&parser, file);
	if (!yaml_parser_load(&parser, &document))
		return fail_yaml(c, &parser, err);
	bool good = read_document(c, &document, err);
	yaml_document_delete(&document);
	return good;
}
