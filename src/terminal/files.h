/* files.h: `lowtide files`: the files of an organization. Each returns the exit code. */
#pragma once

#include "terminal/asked.h"

int files_show_all(const struct asked *a);
/* Prints the id alone. */
int files_send(const struct asked *a, const char *path);
int files_show(const struct asked *a, const char *id);
/* `to` "-": standard output. */
int files_content(const struct asked *a, const char *id, const char *to);
int files_remove(const struct asked *a, const char *const *ids, size_t count);
