/* login.h: `lowtide login` and `lowtide logout`. Each returns the exit code. */
#pragma once

#include "terminal/asked.h"

/* Asks for the key, without echo where standard input is a terminal; tries it on the server; keeps
 * both (remote/login.h). */
int login_keep(const struct asked *a, const char *url);
int login_forget(void);
