/* console.h: the files of the console, which a browser shows: compiled in, plain and compressed. Which
 * they are is said by console/manifest.txt; pack.py packs them. Knows no HTTP. */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

/* All of it is static. */
struct console_file {
	const char *path; /* below /console/: "index.html" */
	const char *type; /* its Content-Type */
	const char *etag; /* of `plain`, in its quotes: by its content */
	struct slice plain;
	struct slice gzip; /* the same, packed; n == 0: that would be no smaller */
};

/* False: the program was built without its console (-Dconsole=disabled). */
bool console_is_built(void);
/* `path` "": that of index.html. False: there is no such file. */
bool console_find(const char *path, struct console_file *ret);
/* The `number`-th file, from 0; false behind the last. */
bool console_list(unsigned number, struct console_file *ret);
