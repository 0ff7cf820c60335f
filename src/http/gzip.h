/* gzip.h: part of a file, compressed while it is read. Fixed memory (about 330 KiB) whatever the
 * size. Belongs to one thread at a time. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct gzip_reader;

/* Takes `fd` over. NULL without memory (then `fd` stays the caller's). */
struct gzip_reader *gzip_open(int fd, uint64_t offset, uint64_t length);
/* Up to `size` bytes into `to`; 0 at the end; -1 if the file cannot be read. */
ssize_t gzip_read(struct gzip_reader *g, char *to, size_t size);
void gzip_close(struct gzip_reader *g);
