/* config_keys.c: keys and secrets that stand elsewhere than in the configuration. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_impl.h"

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

bool key_from_variable(const struct origin *at, const char *setting, const char *variable,
		       char **ret, struct error *err)
{
	const char *key = getenv(variable);

	if (key == NULL || key[0] == '\0')
		return fail_at(err, at, setting, "the environment variable %.80s is not set",
			       variable);
	if (!key_valid(key))
		return fail_at(err, at, setting,
			       "what the environment variable %.80s holds is no key: it has spaces "
			       "or characters outside of ASCII",
			       variable);
	*ret = strdup(key);
	return *ret != NULL || fail_memory(err);
}

static void close_file(FILE **file)
{
	if (*file != NULL)
		fclose(*file);
}

bool key_from_file(const struct origin *at, const char *setting, const char *path, char **ret,
		   struct error *err)
{
	AUTO(close_file) FILE *file = fopen(path, "re");
	char key[4096];

	if (file == NULL)
		return fail_at(err, at, setting, "cannot read %.200s: %s", path, strerror(errno));
	size_t n = fread(key, 1, sizeof(key) - 1, file);
	while (n > 0 && isspace((unsigned char)key[n - 1]))
		n--;
	key[n] = '\0';
	if (ferror(file) || strlen(key) != n || !key_valid(key))
		(void)!fail_at(err, at, setting, "%.200s does not hold a key alone on one line",
			       path);
	else if ((*ret = strdup(key)) == NULL)
		(void)!fail_memory(err);
	explicit_bzero(key, sizeof(key));
	return *ret != NULL;
}
