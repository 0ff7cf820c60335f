/* kept.h: small files that commands keep in the user's directories, for their owner alone (0600, in
 * directories of 0700): $XDG_CONFIG_HOME/lowtide, else ~/.config/lowtide, and
 * $XDG_STATE_HOME/lowtide, else ~/.local/state/lowtide. */
#pragma once

#include <stdbool.h>

#include "base/error.h"

enum kept_kind { KEPT_CONFIG, KEPT_STATE };

/* The path of `name`; malloc'ed. False: there is no home directory, or no memory. */
MUST_USE bool kept_path(enum kept_kind kind, const char *name, char **ret, struct error *err);
/* The text of the file, malloc'ed; NULL: there is none. False: it cannot be read, or others than its
 * owner may. */
MUST_USE bool kept_read(const char *path, char **ret, struct error *err);
/* Replaces the file, whole or not at all, and makes the directories above it. */
MUST_USE bool kept_write(const char *path, const char *text, struct error *err);
/* Makes the directories above the file. */
MUST_USE bool kept_make_room(const char *path, struct error *err);
/* *ret_was: there was one. */
MUST_USE bool kept_remove(const char *path, bool *ret_was, struct error *err);

/* Frees a text that may hold a key. NULL is fine. */
void kept_wipe(char *text);
