/* login.h: the server that `lowtide login` keeps: $XDG_CONFIG_HOME/lowtide/login.json, else
 * ~/.config/lowtide/login.json, for its owner alone (0600, in a directory of 0700). */
#pragma once

#include "base/error.h"

struct login {
	char *url, *key, *ca_file; /* key and ca_file may be NULL */
};

/* None is kept: all NULL. False: it cannot be read, or others may read it. */
MUST_USE bool login_read(struct login *ret, struct error *err);
/* In place of what was kept. */
MUST_USE bool login_write(const struct login *l, struct error *err);
/* *ret_was: one was kept. */
MUST_USE bool login_remove(bool *ret_was, struct error *err);
/* Zeroed is fine. Keys are wiped. */
void login_done(struct login *l);
/* Where it is kept; malloc'ed. False: there is no home directory, or no memory. */
MUST_USE bool login_path(char **ret, struct error *err);
