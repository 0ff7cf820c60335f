/* config.c: puts the configuration together, layer over layer.
 *
 * Every setting is first kept as the text it was given, with its origin: each text is checked where
 * it is met, so that a mistake in the file is reported even if a flag wins over it. The texts become
 * values at the end, when the profile, and with it the defaults, is known. */
#include "app/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "app/settings.h"
#include "base/duration.h"
#include "base/sys.h"

struct given {
	char *text; /* NULL: nothing was given, or it is a list */
	struct origin origin;
};

/* ---- messages: where it stands, then what is wrong ---- */

#define WHERE_SIZE 320

static void where(const struct origin *o, const char *key, char to[static WHERE_SIZE])
{
	char variable[64];

	switch (o->layer) {
	case LAYER_FILE:
		snprintf(to, WHERE_SIZE, "%.180s:%" PRIu64 ": %.120s", o->name, o->line, key);
		break;
	case LAYER_ENVIRONMENT:
		setting_variable(key, variable, sizeof(variable));
		snprintf(to, WHERE_SIZE, "%s in the environment", variable);
		break;
	case LAYER_FLAG:
		snprintf(to, WHERE_SIZE, "%s", o->name);
		if (strcmp(o->name, "--set") == 0)
			snprintf(to, WHERE_SIZE, "--set %.120s", key);
		break;
	case LAYER_DEFAULT:
		snprintf(to, WHERE_SIZE, "%.120s", key);
		break;
	}
}

static bool PRINTF_LIKE(4, 5) fail_at(struct error *err, const struct origin *o, const char *key,
				      const char *format, ...)
{
	char place[WHERE_SIZE], problem[600];
	va_list args;

	where(o, key, place);
	va_start(args, format);
	vsnprintf(problem, sizeof(problem), format, args);
	va_end(args);
	(void)!fail_param(err, key, NULL, "%s: %s", place, problem);
	err->line = o->line;
	return false;
}

static bool fail_unknown(const struct setting *table, size_t count, const struct origin *origin,
			 const char *key, struct error *err)
{
	char suggestion[400];

	setting_suggest(table, count, key, suggestion, sizeof(suggestion));
	return fail_at(err, origin, key, "there is no setting of that name; %s", suggestion);
}

/* `got`: "'many'", "a list". */
static bool fail_value(const struct setting *s, const struct origin *origin, const char *key,
		       const char *got, struct error *err)
{
	char allowed[256];

	setting_describe(s, allowed, sizeof(allowed));
	return fail_at(err, origin, key, "%s is not %s", got, allowed);
}

static bool fail_text(const struct setting *s, const struct origin *origin, const char *key,
		      const char *text, struct error *err)
{
	char got[120];

	if (text[0] == '\0')
		return fail_value(s, origin, key, "an empty value", err);
	snprintf(got, sizeof(got), strlen(text) > 100 ? "'%.100s...'" : "'%s'", text);
	return fail_value(s, origin, key, got, err);
}

/* ---- upstreams ---- */

static void upstream_setting_done(struct upstream_setting *u)
{
	free(u->name);
	free(u->url);
	free(u->api_key_env);
	free(u->api_key_file);
	for (char **model = u->models; model != NULL && *model != NULL; model++)
		free(*model);
	free(u->models);
	*u = (struct upstream_setting){ 0 };
}

static void upstreams_clear(struct config *c)
{
	for (size_t i = 0; i < c->upstream_count; i++)
		upstream_setting_done(&c->upstreams[i]);
	free(c->upstreams);
	c->upstreams = NULL;
	c->upstream_count = 0;
}

static struct upstream_setting *upstream_add(struct config *c, const struct origin *origin)
{
	struct upstream_setting *more =
		reallocarray(c->upstreams, c->upstream_count + 1, sizeof(*more));

	if (more == NULL)
		return NULL;
	c->upstreams = more;
	more[c->upstream_count] = (struct upstream_setting){ .origin = *origin };
	return &more[c->upstream_count++];
}

/* `--upstream URL` is a list of one. Its key, if it wants one, is in a variable of a fixed name. */
static bool upstreams_from_url(struct config *c, const struct origin *origin, const char *url,
			       struct error *err)
{
	const struct setting *s = setting_find(upstream_settings, upstream_setting_count, "url");
	const char *key = getenv(UPSTREAM_KEY_VARIABLE);

	upstreams_clear(c);
	struct upstream_setting *u = upstream_add(c, origin);
	if (u == NULL)
		return fail_memory(err);
	if (!setting_read(s, url, &u->url))
		return fail_text(s, origin, "upstreams", url, err);
	u->name = strdup(UPSTREAM_NAME);
	if (key != NULL && key[0] != '\0')
		u->api_key_env = strdup(UPSTREAM_KEY_VARIABLE);
	return u->name != NULL || fail_memory(err);
}

/* ---- one setting, from whatever layer ---- */

static struct given *given_of(const struct config *c, const struct setting *s)
{
	return &c->given[s - settings];
}

static const struct given *given_by_key(const struct config *c, const char *key)
{
	return given_of(c, setting_find(settings, setting_count, key));
}

static bool config_give(struct config *c, const struct setting *s, const struct origin *origin,
			const char *text, struct error *err)
{
	struct given *g = given_of(c, s);

	if (s->type == SETTING_UPSTREAMS) {
		if (origin->layer == LAYER_FLAG && g->origin.layer == LAYER_FLAG)
			return fail_at(err, origin, s->key,
				       "given twice; several upstreams, each with the models it "
				       "serves, go into a config file");
		if (!upstreams_from_url(c, origin, text, err))
			return false;
	} else if (!setting_allows(s, text)) {
		return fail_text(s, origin, s->key, text, err);
	} else {
		char *copy = strdup(text);
		if (copy == NULL)
			return fail_memory(err);
		free(g->text);
		g->text = copy;
	}
	g->origin = *origin;
	return true;
}

/* ---- the YAML file ---- */

struct reader {
	struct config *config;
	yaml_document_t *document;
	const char *path;
	struct error *err;
};

static struct origin origin_of(const struct reader *r, const yaml_node_t *node)
{
	return (struct origin){ LAYER_FILE, r->path, node->start_mark.line + 1 };
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

/* One member of an entry of `upstreams`; `ctx` is the entry. */
static bool read_upstream_member(struct reader *r, void *ctx, const char *key,
				 const struct origin *at, const yaml_node_t *value)
{
	struct upstream_setting *u = ctx;
	const struct setting *s = setting_find(upstream_settings, upstream_setting_count, key);
	const char *text = scalar_text(value);

	if (s == NULL)
		return fail_unknown(upstream_settings, upstream_setting_count, at, key, r->err);
	void *member = setting_member(s, u);
	if (s->type == SETTING_NAMES)
		return u->models == NULL ? read_models(r, s, key, value, member)
					 : fail_at(r->err, at, key, "given twice");
	if (s->type == SETTING_COUNT ? *(uint64_t *)member != 0 : *(char **)member != NULL)
		return fail_at(r->err, at, key, "given twice");
	if (text == NULL)
		return fail_value(s, at, key, node_kind(value), r->err);
	return setting_read(s, text, member) || fail_text(s, at, key, text, r->err);
}

static bool read_upstreams(struct reader *r, const struct setting *s, const struct origin *at,
			   const yaml_node_t *list)
{
	given_of(r->config, s)->origin = *at;
	const yaml_node_item_t *item = list->data.sequence.items.start;
	for (; item < list->data.sequence.items.top; item++) {
		const yaml_node_t *node = yaml_document_get_node(r->document, *item);
		struct origin entry_at = origin_of(r, node);
		if (node->type != YAML_MAPPING_NODE)
			return fail_at(r->err, &entry_at, s->key,
				       "an entry of the list is a group with at least a url");
		struct upstream_setting *u = upstream_add(r->config, &entry_at);
		if (u == NULL)
			return fail_memory(r->err);
		if (!each_member(r, node, read_upstream_member, u))
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
	if (s->type == SETTING_UPSTREAMS && value->type == YAML_SEQUENCE_NODE)
		return read_upstreams(r, s, at, value);
	if (s->type == SETTING_UPSTREAMS && text != NULL)
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

	const struct setting *s =
		n < (int)sizeof(key) ? setting_find(settings, setting_count, key) : NULL;
	if (s != NULL)
		return read_setting(r, s, at, value);
	if (group != NULL || !setting_is_group(settings, setting_count, name))
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
	struct reader r = { c, document, c->file, err };
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

static bool read_file(struct config *c, struct error *err)
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

/* ---- environment and flags ---- */

static bool read_environment(struct config *c, struct error *err)
{
	static const struct origin origin = { LAYER_ENVIRONMENT, NULL, 0 };
	char name[64];

	for (size_t i = 0; i < setting_count; i++) {
		setting_variable(settings[i].key, name, sizeof(name));
		const char *text = getenv(name);
		if (text != NULL && !config_give(c, &settings[i], &origin, text, err))
			return false;
	}
	return true;
}

static bool read_flags(struct config *c, const struct config_flag *flags, size_t count,
		       struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct setting *s = setting_find(settings, setting_count, flags[i].key);
		struct origin origin = { LAYER_FLAG, flags[i].flag, 0 };
		if (s == NULL)
			return fail_unknown(settings, setting_count, &origin, flags[i].key, err);
		if (!config_give(c, s, &origin, flags[i].value, err))
			return false;
	}
	return true;
}

/* ---- what fits together ---- */

static bool check_windows(const struct config *c, struct error *err)
{
	const struct given *least = given_by_key(c, "limits.window_min");
	const struct given *most = given_by_key(c, "limits.window_max");
	char least_text[24], most_text[24];

	if (c->window_min_s <= c->window_max_s)
		return true;
	duration_format(c->window_min_s, least_text);
	duration_format(c->window_max_s, most_text);
	/* Of the two, the one that somebody wrote is at fault. */
	if (most->origin.layer >= least->origin.layer)
		return fail_at(err, &most->origin, "limits.window_max",
			       "%s is less than limits.window_min, which is %s", most_text,
			       least_text);
	return fail_at(err, &least->origin, "limits.window_min",
		       "%s is more than limits.window_max, which is %s", least_text, most_text);
}

static bool check_upstream(const struct upstream_setting *u, struct error *err)
{
	if (u->url == NULL)
		return fail_at(err, &u->origin, "upstreams", "this entry has no url");
	if (u->api_key_env != NULL && u->api_key_file != NULL)
		return fail_at(err, &u->origin, "upstreams",
			       "the key comes from api_key_env or from api_key_file, not both");
	return true;
}

static bool serves(const struct upstream_setting *u, const char *model)
{
	for (char **m = u->models; *m != NULL; m++)
		if (strcmp(*m, model) == 0)
			return true;
	return false;
}

/* A model has one upstream. */
static bool check_apart(const struct upstream_setting *u, const struct upstream_setting *before,
			struct error *err)
{
	if (strcmp(u->name, before->name) == 0)
		return fail_at(err, &u->origin, "upstreams",
			       "the name '%.60s' is taken; give each upstream one of its own",
			       u->name);
	if (u->models == NULL || before->models == NULL)
		return fail_at(err, &u->origin, "upstreams",
			       "where there are several, each lists the models that it serves");
	for (char **m = u->models; *m != NULL; m++)
		if (serves(before, *m))
			return fail_at(err, &u->origin, "upstreams",
				       "the model '%.60s' is served by '%.60s' already; a model "
				       "has one upstream",
				       *m, before->name);
	return true;
}

static bool finish_upstreams(struct config *c, struct error *err)
{
	for (size_t i = 0; i < c->upstream_count; i++) {
		struct upstream_setting *u = &c->upstreams[i];
		if (u->name == NULL && (u->name = strdup(UPSTREAM_NAME)) == NULL)
			return fail_memory(err);
		if (!check_upstream(u, err))
			return false;
		for (size_t k = 0; k < i; k++)
			if (!check_apart(u, &c->upstreams[k], err))
				return false;
	}
	return true;
}

/* ---- texts become values ---- */

static const char *effective_text(const struct config *c, const struct setting *s)
{
	const struct given *g = given_of(c, s);

	return g->text != NULL ? g->text : s->initial[c->profile];
}

static bool finish(struct config *c, struct error *err)
{
	const struct setting *profile = setting_find(settings, setting_count, "profile");

	/* It decides the others' defaults; its own is the same in both. */
	if (!setting_read(profile, effective_text(c, profile), &c->profile))
		return fail_memory(err);
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		/* Its text was checked when it was given, so only memory can be short. */
		if (s->type != SETTING_UPSTREAMS &&
		    !setting_read(s, effective_text(c, s), setting_member(s, c)))
			return fail_memory(err);
	}
	return check_windows(c, err) && finish_upstreams(c, err);
}

static bool load(struct config *c, const char *file, const struct config_flag *flags,
		 size_t flag_count, struct error *err)
{
	c->given = calloc(setting_count, sizeof(*c->given));
	if (c->given == NULL || (file != NULL && (c->file = strdup(file)) == NULL))
		return fail_memory(err);
	return (file == NULL || read_file(c, err)) && read_environment(c, err) &&
	       read_flags(c, flags, flag_count, err) && finish(c, err);
}

bool config_load(const char *file, const struct config_flag *flags, size_t flag_count,
		 struct config *ret, struct error *err)
{
	*ret = (struct config){ 0 };
	if (load(ret, file, flags, flag_count, err))
		return true;
	config_done(ret);
	return false;
}

static void keys_forget(struct config *c)
{
	for (size_t i = 0; c->ready_upstreams != NULL && i < c->upstream_count; i++) {
		char *key = c->ready_upstreams[i].api_key;
		if (key != NULL)
			explicit_bzero(key, strlen(key));
		free(key);
	}
	free(c->ready_upstreams);
	c->ready_upstreams = NULL;
}

void config_done(struct config *c)
{
	keys_forget(c);
	upstreams_clear(c);
	for (size_t i = 0; c->given != NULL && i < setting_count; i++)
		free(c->given[i].text);
	free(c->given);
	free(c->data);
	free(c->file);
	*c = (struct config){ 0 };
}

/* ---- keys of the upstreams ---- */

/* A key goes into a header line: printable, no spaces. */
static bool key_valid(const char *key)
{
	if (key[0] == '\0')
		return false;
	for (const char *p = key; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return true;
}

static bool key_from_variable(const struct upstream_setting *u, char **ret, struct error *err)
{
	const char *key = getenv(u->api_key_env);

	if (key == NULL || key[0] == '\0')
		return fail_at(err, &u->origin, "api_key_env",
			       "the environment variable %.80s is not set", u->api_key_env);
	if (!key_valid(key))
		return fail_at(err, &u->origin, "api_key_env",
			       "what the environment variable %.80s holds is no key: it has spaces "
			       "or characters outside of ASCII",
			       u->api_key_env);
	*ret = strdup(key);
	return *ret != NULL || fail_memory(err);
}

static bool key_from_file(const struct upstream_setting *u, char **ret, struct error *err)
{
	AUTO(close_file) FILE *file = fopen(u->api_key_file, "re");
	char key[4096];

	if (file == NULL)
		return fail_at(err, &u->origin, "api_key_file", "cannot read %.200s: %s",
			       u->api_key_file, strerror(errno));
	size_t n = fread(key, 1, sizeof(key) - 1, file);
	while (n > 0 && isspace((unsigned char)key[n - 1]))
		n--;
	key[n] = '\0';
	if (ferror(file) || strlen(key) != n || !key_valid(key))
		(void)!fail_at(err, &u->origin, "api_key_file",
			       "%.200s does not hold a key alone on one line", u->api_key_file);
	else if ((*ret = strdup(key)) == NULL)
		(void)!fail_memory(err);
	explicit_bzero(key, sizeof(key));
	return *ret != NULL;
}

bool config_read_keys(struct config *c, struct error *err)
{
	keys_forget(c);
	c->ready_upstreams = calloc(c->upstream_count + 1, sizeof(*c->ready_upstreams));
	if (c->ready_upstreams == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < c->upstream_count; i++) {
		const struct upstream_setting *u = &c->upstreams[i];
		struct upstream_config *ready = &c->ready_upstreams[i];
		uint64_t concurrency = u->concurrency > 0 ? u->concurrency : c->concurrency;
		*ready = (struct upstream_config){
			.name = u->name,
			.base_url = u->url,
			.models = u->models,
			.concurrency = (unsigned)concurrency,
		};
		if (u->api_key_env != NULL && !key_from_variable(u, &ready->api_key, err))
			return false;
		if (u->api_key_file != NULL && !key_from_file(u, &ready->api_key, err))
			return false;
	}
	return true;
}

/* ---- showing it ---- */

bool config_is_default(const struct config *c, const char *key)
{
	return given_by_key(c, key)->origin.layer == LAYER_DEFAULT;
}

static void print_origin(const struct config *c, const struct setting *s, FILE *to)
{
	const struct origin *o = &given_of(c, s)->origin;
	char place[WHERE_SIZE];

	if (o->layer == LAYER_DEFAULT)
		snprintf(place, sizeof(place), "default");
	else if (o->layer == LAYER_FILE)
		snprintf(place, sizeof(place), "%.200s:%" PRIu64, o->name, o->line);
	else
		where(o, s->key, place);
	fprintf(to, "  # %s\n", place);
}

static void print_upstreams(const struct config *c, FILE *to)
{
	for (size_t i = 0; i < c->upstream_count; i++) {
		const struct upstream_setting *u = &c->upstreams[i];
		const char *key_at = u->api_key_env != NULL    ? u->api_key_env
				     : u->api_key_file != NULL ? u->api_key_file
							       : "none";
		fprintf(to, "  %s: %s, key: %s, models:", u->name, u->url, key_at);
		for (char **m = u->models; m != NULL && *m != NULL; m++)
			fprintf(to, " %s", *m);
		fprintf(to, "%s\n", u->models == NULL ? " any" : "");
	}
}

void config_print(const struct config *c, FILE *to)
{
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		bool upstreams = s->type == SETTING_UPSTREAMS;
		fprintf(to, "%s:%s%s", s->key, upstreams ? "" : " ",
			upstreams ? "" : effective_text(c, s));
		print_origin(c, s, to);
		if (upstreams)
			print_upstreams(c, to);
	}
}

/* ---- the parts ---- */

struct pipeline_config config_pipeline(const struct config *c)
{
	return (struct pipeline_config){
		.profile = (enum profile)c->profile,
		.upstreams = c->ready_upstreams,
		.upstream_count = c->upstream_count,
		.max_attempts = (unsigned)c->max_attempts,
		.line_timeout_ms = c->line_timeout_s * 1000,
		.response_bytes_max = c->response_bytes,
		.drain_ms = c->drain_s * 1000,
		.strict_lines = c->strict_lines,
		.refuse_sampling = c->refuse_sampling,
		.lines_max = c->lines_per_file,
		.inputs_max = c->inputs_per_file,
		.line_bytes = c->line_bytes,
		.enqueued_requests_max = c->enqueued_requests,
		.enqueued_tokens_max = c->enqueued_tokens,
		.result_expires_after_s = c->result_files_s,
		.sweep_ms = c->sweep_s * 1000,
	};
}

/* Kimi's shortest window, below which windows need smaller units than its API knows. */
#define WINDOW_HOURS_FROM_S (UINT64_C(12) * 3600)

struct window_rule config_windows(const struct config *c)
{
	return (struct window_rule){
		.min_s = c->window_min_s,
		.max_s = c->window_max_s,
		.seconds_and_minutes = c->window_min_s < WINDOW_HOURS_FROM_S,
		.only_24h = c->profile == PROFILE_OPENAI &&
			    config_is_default(c, "limits.window_min") &&
			    config_is_default(c, "limits.window_max"),
	};
}

struct api_config config_api(const struct config *c)
{
	return (struct api_config){
		.profile = (enum profile)c->profile,
		.windows = config_windows(c),
		.file_bytes_max = c->file_bytes,
		.line_bytes_max = c->line_bytes,
		.quota = { .files_max = c->files_per_org, .bytes_max = c->bytes_per_org },
		.missing_input_refused = c->missing_file == MISSING_FILE_REFUSE,
		.first_line_checked = c->first_line,
		.input_expires_after_s = c->input_files_s,
		.result_expires_after_s = c->result_files_s,
	};
}
