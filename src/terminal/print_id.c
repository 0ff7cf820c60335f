/* print_id.c: see print_id.h. */
#include "terminal/print_id.h"

#include <errno.h>
#include <stdio.h>

#include "terminal/signals.h"
#include "terminal/text.h"

bool print_id(const char *id, struct error *err)
{
	print_plain(id, stdout);
	if (putchar('\n') != EOF && fflush(stdout) == 0)
		return true;
	int saved_errno = errno;
	signals_reader_gone(saved_errno);
	return fail_sys(err, saved_errno, "standard output, which was to get the id %s", id);
}
