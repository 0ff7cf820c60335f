/* command_line.h: the subcommands: what they are called, and what follows their names. */
#pragma once

struct command {
	const char *name;
	const char *arguments; /* as shown in the list */
	const char *about;
	/* argv[0] is "lowtide NAME". Returns the exit code. */
	int (*run)(int argc, char **argv);
};

extern const struct command commands[]; /* ends with a NULL name */
