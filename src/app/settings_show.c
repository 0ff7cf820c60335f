/* settings_show.c: each row and what it allows. */
#include "app/settings_show.h"

#include <string.h>

#include "app/settings.h"

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* "12h", or "12h (kimi), 24h (openai)". */
static void print_values(FILE *to, const char *const values[2])
{
	if (same_text(values[PROFILE_KIMI], values[PROFILE_OPENAI]))
		fputs(values[PROFILE_KIMI], to);
	else
		fprintf(to, "%s (kimi), %s (openai)", values[PROFILE_KIMI], values[PROFILE_OPENAI]);
}

static void print_default(FILE *to, const struct setting *s)
{
	if (s->initial[PROFILE_KIMI] == NULL || s->initial[PROFILE_OPENAI] == NULL)
		return;
	fputs("    default   ", to);
	print_values(to, s->initial);
	if (s->vendor[PROFILE_KIMI] != NULL && s->vendor[PROFILE_OPENAI] != NULL) {
		fputs("; with limits.vendor: ", to);
		print_values(to, s->vendor);
	}
	fputc('\n', to);
}

/* `list`: the setting whose entries have `s`, or NULL. */
static void print_setting(FILE *to, const char *list, const struct setting *s)
{
	char allowed[400], variable[80];
	bool alone = list == NULL && s->type != SETTING_PRICES && s->type != SETTING_WEBHOOKS;

	setting_describe(s, allowed, sizeof(allowed));
	fprintf(to, "\n%s%s%s\n    %s\n    allowed   %s\n", list != NULL ? list : "",
		list != NULL ? "[]." : "", s->key, s->about, allowed);
	print_default(to, s);
	if (alone) {
		setting_variable(s->key, variable, sizeof(variable));
		fprintf(to, "    variable  %s\n", variable);
	}
	if (s->at_reload)
		fputs("    reload    read anew at SIGHUP\n", to);
}

static void print_entries(FILE *to, const char *list, const struct setting *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		print_setting(to, list, &table[i]);
}

void settings_show(FILE *to)
{
	fputs("Every setting: in the file (`group:` with `name:` below it), by --set group.name=VALUE, or\n"
	      "by its variable. Flags win over the environment, the environment over the file.\n"
	      "name[].member is a member of each entry of the list `name`.\n",
	      to);
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		print_setting(to, NULL, s);
		if (s->type == SETTING_UPSTREAMS)
			print_entries(to, s->key, upstream_settings, upstream_setting_count);
		else if (s->type == SETTING_PRICES)
			print_entries(to, s->key, price_settings, price_setting_count);
		else if (s->type == SETTING_WEBHOOKS)
			print_entries(to, s->key, webhook_settings, webhook_setting_count);
	}
}
