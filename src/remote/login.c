/* login.c: see login.h: an object of JSON in a file that is kept (kept.h). */
#include "remote/login.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "remote/kept.h"

void login_done(struct login *l)
{
	free(l->url);
	kept_wipe(l->key);
	free(l->ca_file);
	*l = (struct login){ 0 };
}

bool login_path(char **ret, struct error *err)
{
	return kept_path(KEPT_CONFIG, "login.json", ret, err);
}

static bool text_take(const json_t *o, const char *name, char **ret)
{
	const char *text = json_string_value(json_object_get(o, name));

	*ret = text != NULL ? strdup(text) : NULL;
	return (*ret != NULL) == (text != NULL);
}

static bool parse(const char *path, const char *text, struct login *ret, struct error *err)
{
	json_t *o = json_loads(text, 0, NULL);

	if (!json_is_object(o)) {
		json_decref(o);
		return fail(
			err, ERR_INVALID,
			"%s is not what `lowtide login` writes: log in again, or `lowtide logout`",
			path);
	}
	bool good = text_take(o, "url", &ret->url) && text_take(o, "api_key", &ret->key) &&
		    text_take(o, "ca_file", &ret->ca_file);
	json_decref(o);
	return good || fail_memory(err);
}

bool login_read(struct login *ret, struct error *err)
{
	AUTO(auto_free) char *path = NULL;
	struct error none;
	char *text;

	*ret = (struct login){ 0 };
	if (!login_path(&path, &none))
		return true; /* no home, so none was kept */
	if (!kept_read(path, &text, err))
		return false;
	bool good = text == NULL || parse(path, text, ret, err);
	kept_wipe(text);
	if (!good)
		login_done(ret);
	return good;
}

bool login_write(const struct login *l, struct error *err)
{
	AUTO(auto_free) char *path = NULL;

	if (!login_path(&path, err))
		return false;
	json_t *o = json_pack("{s:s, s:s*, s:s*}", "url", l->url, "api_key", l->key, "ca_file",
			      l->ca_file);
	char *text = o != NULL ? json_dumps(o, JSON_INDENT(2)) : NULL;
	json_decref(o);
	if (text == NULL)
		return fail(err, ERR_INVALID, "the API key, or a path, is not UTF-8");
	bool good = kept_write(path, text, err);
	kept_wipe(text);
	return good;
}

bool login_remove(bool *ret_was, struct error *err)
{
	AUTO(auto_free) char *path = NULL;

	return login_path(&path, err) && kept_remove(path, ret_was, err);
}
