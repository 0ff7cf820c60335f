/* suggest.c: which setting was meant by a name that does not exist. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "app/settings.h"

#define WORD_MAX 40 /* longer than any key; what is longer is like none */

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Letters to insert, remove or replace to make `b` of `a` (Levenshtein), case aside. */
static unsigned word_distance(const char *a, const char *b)
{
	size_t n = strlen(b);
	unsigned row[WORD_MAX + 1];

	if (strlen(a) > WORD_MAX || n > WORD_MAX)
		return WORD_MAX;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < n; j++) {
			unsigned replaced = diagonal + (tolower((unsigned char)a[i]) !=
							tolower((unsigned char)b[j]));
			diagonal = row[j + 1];
			row[j + 1] = least_of(replaced, row[j + 1] + 1, row[j] + 1);
		}
	}
	return row[n];
}

static const char *last_part(const char *key)
{
	const char *dot = strrchr(key, '.');

	return dot != NULL ? dot + 1 : key;
}

/* People mistype a letter, or forget the group, or take the wrong one. */
static unsigned key_distance(const char *wrong, const char *key)
{
	unsigned whole = word_distance(wrong, key);
	unsigned last = word_distance(last_part(wrong), last_part(key));

	return whole < last + 1 ? whole : last + 1;
}

#define NEAR_MAX 4

static bool is_near(const char *wrong, unsigned distance)
{
	return distance <= NEAR_MAX && distance <= 1 + strlen(last_part(wrong)) / 4;
}

static void text_add(char *to, size_t size, const char *before, const char *text)
{
	size_t n = strlen(to);

	snprintf(to + n, size - n, "%s%s", before, text);
}

static bool suggest_nearest(const struct setting *table, size_t count, const char *wrong, char *to,
			    size_t size)
{
	unsigned shown = 0;

	snprintf(to, size, "nearest:");
	for (unsigned distance = 0; is_near(wrong, distance) && shown < 3; distance++)
		for (size_t i = 0; i < count && shown < 3; i++)
			if (key_distance(wrong, table[i].key) == distance)
				text_add(to, size, shown++ > 0 ? ", " : " ", table[i].key);
	return shown > 0;
}

void setting_suggest(const struct setting *table, size_t count, const char *wrong, char *to,
		     size_t size)
{
	char group[WORD_MAX] = "", before[WORD_MAX] = "";
	size_t group_n = strcspn(wrong, ".");
	const char *between = " ";

	if (suggest_nearest(table, count, wrong, to, size))
		return;
	if (slice_copy((struct slice){ wrong, group_n }, group, sizeof(group)) &&
	    !setting_is_group(table, count, group))
		group[0] = '\0';
	snprintf(to, size, "allowed here:");
	for (size_t i = 0; i < count; i++) {
		const char *key = table[i].key;
		size_t n = strcspn(key, ".");
		if (group[0] != '\0') { /* the keys of that group */
			if (n != group_n || strncmp(key, group, n) != 0)
				continue;
		} else if (n == strlen(before) && strncmp(key, before, n) == 0) {
			continue; /* the group is there already */
		} else {
			snprintf(before, sizeof(before), "%.*s", (int)n, key);
			key = before;
		}
		text_add(to, size, between, key);
		between = ", ";
	}
}

#define VARIABLE_PREFIX "LOWTIDE_" /* part of every name, so no likeness */

void setting_suggest_variable(const struct setting *table, size_t count, const char *wrong,
			      char *to, size_t size)
{
	const char *rest = wrong + strlen(VARIABLE_PREFIX);
	char variable[64];
	unsigned shown = 0;

	snprintf(to, size, "nearest:");
	for (unsigned distance = 0; is_near(rest, distance) && shown < 3; distance++)
		for (size_t i = 0; i < count && shown < 3; i++) {
			setting_variable(table[i].key, variable, sizeof(variable));
			if (word_distance(rest, variable + strlen(VARIABLE_PREFIX)) == distance)
				text_add(to, size, shown++ > 0 ? ", " : " ", variable);
		}
	if (shown == 0)
		snprintf(to, size, "no setting has it; lowtide.example.yaml shows all settings");
}
