/* config_given.c: what a setting was given, and the messages that say where. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/config_impl.h"

struct given *given_of(const struct config *c, const struct setting *s)
{
	return &c->given[s - settings];
}

const struct given *given_by_key(const struct config *c, const char *key)
{
	return given_of(c, setting_find(settings, setting_count, key));
}

bool config_is_default(const struct config *c, const char *key)
{
	return given_by_key(c, key)->origin.layer == LAYER_DEFAULT;
}

/* ---- messages: where it stands, then what is wrong ---- */

void where(const struct origin *o, const char *key, char to[static WHERE_SIZE])
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

/* A message is for a terminal, and quotes texts of the file: one line, and no escapes. */
static void make_one_line(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

bool fail_at(struct error *err, const struct origin *o, const char *key, const char *format, ...)
{
	char place[WHERE_SIZE], problem[600];
	va_list args;

	where(o, key, place);
	va_start(args, format);
	vsnprintf(problem, sizeof(problem), format, args);
	va_end(args);
	(void)!fail_param(err, key, NULL, "%s: %s", place, problem);
	make_one_line(err->message);
	err->line = o->line;
	return false;
}

bool fail_unknown(const struct setting *table, size_t count, const struct origin *origin,
		  const char *key, struct error *err)
{
	char suggestion[400];

	setting_suggest(table, count, key, suggestion, sizeof(suggestion));
	return fail_at(err, origin, key, "there is no setting of that name; %s", suggestion);
}

bool fail_value(const struct setting *s, const struct origin *origin, const char *key,
		const char *got, struct error *err)
{
	char allowed[256];

	setting_describe(s, allowed, sizeof(allowed));
	return fail_at(err, origin, key, "%s is not %s", got, allowed);
}

bool fail_text(const struct setting *s, const struct origin *origin, const char *key,
	       const char *text, struct error *err)
{
	char got[120];

	if (text[0] == '\0')
		return fail_value(s, origin, key, "an empty value", err);
	snprintf(got, sizeof(got), strlen(text) > 100 ? "'%.100s...'" : "'%s'", text);
	return fail_value(s, origin, key, got, err);
}
