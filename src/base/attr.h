/* attr.h: the few compiler attributes used everywhere. */
#pragma once

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* `AUTO(buf_free) struct buf b = BUF(1 << 20);` releases at the end of the scope by calling
 * buf_free(&b). The release function takes a pointer to the variable. */
#define AUTO(release) __attribute__((cleanup(release)))

/* Hands a pointer over and disarms its AUTO. */
#define TAKE(p)                       \
	({                            \
		__auto_type t_ = (p); \
		(p) = NULL;           \
		t_;                   \
	})

/* The struct of which `member` is at `p`. */
#include <stddef.h>
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* Releases a malloc'ed pointer: `AUTO(auto_free) char *text`. */
#include <stdlib.h>
static inline void auto_free(void *p)
{
	free(*(void **)p);
}

#include <unistd.h>
static inline void auto_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Hands a descriptor over and disarms its AUTO. */
#define TAKE_FD(fd)            \
	({                     \
		int t_ = (fd); \
		(fd) = -1;     \
		t_;            \
	})
