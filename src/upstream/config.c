/* config.c: one set of three functions for each kind of member; the lists of config.h are run
 * through them. */
#include "upstream/config.h"

#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

static bool text_copy(char *const *from, char **ret)
{
	*ret = *from != NULL ? strdup(*from) : NULL;
	return (*ret != NULL) == (*from != NULL);
}

static void text_done(char **text)
{
	free(*text);
}

static bool text_same(char *const *a, char *const *b)
{
	return *a == NULL || *b == NULL ? *a == *b : strcmp(*a, *b) == 0;
}

/* ---- secret ---- */

static bool secret_copy(char *const *from, char **ret)
{
	return text_copy(from, ret);
}

static void secret_done(char **text)
{
	if (*text != NULL)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

static bool secret_same(char *const *a, char *const *b)
{
	return text_same(a, b);
}

/* ---- tls ---- */

static bool tls_copy(const struct tls_pem *from, struct tls_pem *ret)
{
	return tls_pem_copy(from, ret);
}

static void tls_done(struct tls_pem *t)
{
	tls_pem_done(t);
}

static bool tls_same(const struct tls_pem *a, const struct tls_pem *b)
{
	return tls_pem_same(a, b);
}

/* ---- names ---- */

static void names_done(char ***names)
{
	for (char **n = *names; n != NULL && *n != NULL; n++)
		free(*n);
	free(*names);
}

static bool names_copy(char **const *from, char ***ret)
{
	size_t n = 0;

	*ret = NULL;
	if (*from == NULL)
		return true;
	while ((*from)[n] != NULL)
		n++;
	*ret = calloc(n + 1, sizeof(**ret));
	for (size_t i = 0; *ret != NULL && i < n; i++)
		if (!text_copy(&(*from)[i], &(*ret)[i]))
			return false; /* what is copied so far is freed with the rest */
	return *ret != NULL;
}

static bool names_same(char **const *left, char **const *right)
{
	char *const *a = *left, *const *b = *right;

	if (a == NULL || b == NULL)
		return a == b;
	for (; *a != NULL && *b != NULL; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return *a == *b; /* both are at their end */
}

/* ---- value: macros, for they are of several types ---- */

#define value_copy(from, ret) ((*(ret) = *(from)), true)
#define value_done(value) ((void)(value))
#define value_same(a, b) (*(a) == *(b))

/* ---- the whole ---- */

bool upstream_config_copy(const struct upstream_config *from, struct upstream_config *ret)
{
	bool ok = true;

	*ret = (struct upstream_config){ 0 };
#define COPY(kind, type, name) ok = ok && kind##_copy(&from->name, &ret->name);
	UPSTREAM_IDENTITY(COPY)
	UPSTREAM_TERMS(COPY)
#undef COPY
	if (!ok)
		upstream_config_done(ret);
	return ok;
}

void upstream_config_done(struct upstream_config *c)
{
#define DONE(kind, type, name) kind##_done(&c->name);
	UPSTREAM_IDENTITY(DONE)
	UPSTREAM_TERMS(DONE)
#undef DONE
	*c = (struct upstream_config){ 0 };
}

#define SAME(kind, type, name) kind##_same(&a->name, &b->name) &&

bool upstream_config_identity_same(const struct upstream_config *a, const struct upstream_config *b)
{
	return UPSTREAM_IDENTITY(SAME) true;
}

bool upstream_config_same(const struct upstream_config *a, const struct upstream_config *b)
{
	return UPSTREAM_TERMS(SAME) upstream_config_identity_same(a, b);
}

#undef SAME
