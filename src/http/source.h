/* source.h: where the bytes of an answer come from that are not in memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the owner of the bytes hands in; `ctx` is http_file.ctx. */
struct http_source_ops {
	/* Some of `n` (> 0) bytes at `at`, at least one; 0: they end there; -1: they cannot be
	 * read, which the owner logs. Worker thread; may block. */
	ssize_t (*read)(void *ctx, uint64_t at, void *to, size_t n);
	/* The short way, for sendfile: hands over a descriptor of the same bytes; then only `close`
	 * follows. -1: there is none. NULL: never. Loop thread; must not block. */
	int (*take_fd)(void *ctx);
	/* Loop or worker thread. */
	void (*close)(void *ctx);
};

/* So many bytes of a source. */
struct http_file {
	const struct http_source_ops *ops; /* NULL: none */
	void *ctx;                         /* taken over: closed when sent */
	uint64_t offset, length;
	bool gzip; /* compress while sending (then no Content-Length); not on HEAD */
};
/* Closes it, if there is one, and leaves none. */
static inline void http_file_close(struct http_file *f)
{
	if (f->ops != NULL)
		f->ops->close(f->ctx);
	*f = (struct http_file){ 0 };
}
