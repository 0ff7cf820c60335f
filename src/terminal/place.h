/* place.h: where a download goes: a file, which has its name only once it is whole, or what is no
 * file (standard output, a pipe, /dev/null), which gets the bytes as they come.
 *
 * Until a file is whole it is called NAME.part-ID, of what is downloaded: so what an earlier call
 * has left is gone on with, and nothing else is. */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct download_place {
	const char *path; /* "-": standard output */
	char *part;       /* NULL: it is no file */
	int fd;
	uint64_t at; /* bytes in the part, when it was opened and after each write */
};

#define PLACE_CLOSED ((struct download_place){ .fd = -1 })

/* Whether `path` may become a file, before anything else is done; NULL is fine. */
MUST_USE bool place_check(const char *path, struct error *err);
/* Whether both are, or would become, one file. NULL is none. */
bool place_same(const char *a, const char *b);
/* `keeps`: what a part has already stays in it. False, also: another call writes the part. */
MUST_USE bool place_open(struct download_place *p, const char *path, const char *id, bool keeps,
			 struct error *err);
MUST_USE bool place_write(struct download_place *p, struct slice bytes, struct error *err);
/* Cuts the part: it has `bytes` from now on. */
MUST_USE bool place_cut(struct download_place *p, uint64_t bytes, struct error *err);
/* All is written: the part gets its name. */
MUST_USE bool place_finish(struct download_place *p, struct error *err);
/* All is written, and nobody wants it: the part goes. */
void place_drop(struct download_place *p);
/* A part stays for the next call. */
void place_close(struct download_place *p);
