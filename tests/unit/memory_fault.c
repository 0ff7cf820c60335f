/* memory_fault.c: what the linker (--wrap) puts in the place of malloc and the like. */
#include "memory_fault.h"

#include <stdatomic.h>

static struct {
	atomic_bool on, fired;
	atomic_uint calls;
	unsigned nth;
	bool all_after;
} fault;

void memory_fail(struct memory_sweep *s)
{
	fault.nth = s->nth;
	fault.all_after = s->all_after;
	fault.calls = 0;
	fault.fired = false;
	fault.on = true;
}

void memory_restore(struct memory_sweep *s)
{
	fault.on = false;
	s->fired = fault.fired;
	s->faults += s->fired;
}

bool memory_fault_now(void)
{
	if (!fault.on)
		return false;
	unsigned call = ++fault.calls;
	if (call != fault.nth && !(fault.all_after && call > fault.nth))
		return false;
	fault.fired = true;
	errno = ENOMEM;
	return true;
}

/* WRAP(result, name, parameters, arguments): the real one, unless it is this call's turn to fail.
 * The real ones are weak: an executable that does not use one of the libraries does without. */
#define WRAP(type, name, parameters, arguments)                             \
	type __real_##name parameters __attribute__((weak));                \
	type __wrap_##name parameters;                                      \
	type __wrap_##name parameters                                       \
	{                                                                   \
		return memory_fault_now() ? NULL : __real_##name arguments; \
	}

WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
WRAP(char *, strdup, (const char *text), (text))
WRAP(char *, strndup, (const char *text, size_t n), (text, n))
WRAP(char *, realpath, (const char *path, char *to), (path, to))
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode))
WRAP(DIR *, opendir, (const char *path), (path))
WRAP(void *, XXH3_createState, (void), ())
WRAP(void *, EVP_MD_CTX_new, (void), ())

int __real_vasprintf(char **to, const char *format, va_list args) __attribute__((weak));
int __wrap_vasprintf(char **to, const char *format, va_list args);
int __wrap_asprintf(char **to, const char *format, ...);

int __wrap_vasprintf(char **to, const char *format, va_list args)
{
	return memory_fault_now() ? -1 : __real_vasprintf(to, format, args);
}

int __wrap_asprintf(char **to, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = __wrap_vasprintf(to, format, args);
	va_end(args);
	return n;
}
