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

/* command.run of each, in its command_*.c. */
int command_serve(int argc, char **argv);
int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_key(int argc, char **argv);
int command_org(int argc, char **argv);
int command_gc(int argc, char **argv);
