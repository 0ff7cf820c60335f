/* gzip.h: part of a source, compressed while it is read. Fixed memory (about 330 KiB) whatever the
 * size. Belongs to one thread at a time. */
#pragma once

#include "http/source.h"

struct gzip_reader;

/* Packs the bytes of `f`, which stays the caller's, and open until gzip_close(). NULL without
 * memory. */
struct gzip_reader *gzip_open(const struct http_file *f);
/* Up to `size` bytes into `to`; 0 at the end; -1 if the source cannot be read. May block. */
ssize_t gzip_read(struct gzip_reader *g, char *to, size_t size);
void gzip_close(struct gzip_reader *g);
