/* error.c: filling in errors. What each kind means on the wire is the table ERROR_KINDS. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* The analyzer's macros of error.h: here stand the functions. */
#undef fail
#undef fail_param
#undef fail_sys
#undef fail_memory

static const struct error_kind_info kinds[] = {
#define X(name, status, kimi, openai, code) [ERR_##name] = { status, kimi, openai, code },
	ERROR_KINDS(X)
#undef X
};

const struct error_kind_info *error_kind_info(enum error_kind kind)
{
	return &kinds[kind];
}

/* A text too long for `to` is cut between two characters: half a character would make the message
 * unfit for JSON. */
PRINTF_LIKE(3, 0)
static void format_cut(char *to, size_t size, const char *format, va_list args)
{
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): every caller has started it */
	int n = vsnprintf(to, size, format, args);

	if (n < 0 || (size_t)n < size)
		return;
	size_t end = 0, held = strlen(to);
	while (end < held) {
		bool valid;
		size_t step = utf8_step(to + end, held - end, &valid);
		if (!valid && end + step == held)
			break;
		end += step;
	}
	to[end] = '\0';
}

/* Every fail function builds its error aside and copies it at the end, because the arguments may
 * point into *err: `fail(err, kind, "in the header: %s", err->message)`. */

bool fail(struct error *err, enum error_kind kind, const char *format, ...)
{
	struct error made = { .kind = kind };
	va_list args;

	va_start(args, format);
	format_cut(made.message, sizeof(made.message), format, args);
	va_end(args);
	*err = made;
	return false;
}

bool fail_param(struct error *err, const char *param, const char *code, const char *format, ...)
{
	struct error made = { .kind = ERR_INVALID, .code = code };
	va_list args;

	va_start(args, format);
	format_cut(made.message, sizeof(made.message), format, args);
	va_end(args);
	if (param != NULL)
		snprintf(made.param, sizeof(made.param), "%s", param);
	*err = made;
	return false;
}

static const char disk_full[] = "The server's disk is full; nothing was stored. Try again later.";
static const char files_full[] = "The server has as many files open as it may. Try again later.";
static const char general_fault[] = "The server had an error while processing your request.";

bool fail_sys(struct error *err, int saved_errno, const char *format, ...)
{
	struct error made = { .kind = ERR_INTERNAL, .sys = saved_errno };
	const char *message = general_fault;
	va_list args;

	if (saved_errno == ENOSPC || saved_errno == EDQUOT) {
		made.kind = ERR_NO_SPACE;
		message = disk_full;
	} else if (saved_errno == EMFILE || saved_errno == ENFILE) {
		made.kind = ERR_UNAVAILABLE;
		message = files_full;
	}

	va_start(args, format);
	format_cut(made.detail, sizeof(made.detail), format, args);
	va_end(args);
	snprintf(made.message, sizeof(made.message), "%s", message);
	*err = made;
	return false;
}

bool fail_memory(struct error *err)
{
	return fail_sys(err, ENOMEM, "out of memory");
}

bool error_may_pass(const struct error *err)
{
	return err->kind == ERR_UNAVAILABLE || err->sys == ENOMEM || err->sys == EMFILE ||
	       err->sys == ENFILE || err->sys == EAGAIN;
}
