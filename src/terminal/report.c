/* report.c: errors on the terminal. */
#include "terminal/report.h"

#include <stdio.h>
#include <string.h>

#include "terminal/text.h"

int exit_code(const struct error *err)
{
	return err->kind == ERR_INVALID ? EXIT_USAGE : EXIT_FAULT;
}

/* The text may be a server's. */
void report(const struct error *err)
{
	fputs("lowtide: ", stderr);
	print_plain(err->detail[0] != '\0' ? err->detail : err->message, stderr);
	if (err->detail[0] != '\0' && err->sys > 0)
		fprintf(stderr, ": %s", strerror(err->sys));
	fputc('\n', stderr);
}
