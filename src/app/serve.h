/* serve.h: `lowtide serve`: the server from its start to its end. */
#pragma once

#include "app/config.h"

/* Runs until SIGTERM or SIGINT and returns the exit code. The config stays the caller's. */
int serve(struct config *config);
