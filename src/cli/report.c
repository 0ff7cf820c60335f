/* report.c: errors on the terminal. */
#include "cli/report.h"

#include <stdio.h>
#include <string.h>

int exit_code(const struct error *err)
{
	return err->kind == ERR_INVALID ? EXIT_USAGE : EXIT_FAULT;
}

void report(const struct error *err)
{
	if (err->detail[0] == '\0')
		fprintf(stderr, "lowtide: %s\n", err->message);
	else if (err->sys > 0)
		fprintf(stderr, "lowtide: %s: %s\n", err->detail, strerror(err->sys));
	else
		fprintf(stderr, "lowtide: %s\n", err->detail);
}
