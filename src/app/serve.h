/* serve.h: `lowtide serve`: the server from its start to its end. */
#pragma once

#include "app/config.h"

/* Runs until SIGTERM or SIGINT and returns the exit code; SIGHUP reads `source` anew (reload.h).
 * Both stay the caller's. `adopt`: go on with a database that is not the one of the directory's
 * files (cli/data_dir.h). */
int serve(struct config *config, const struct config_source *source, bool adopt);
