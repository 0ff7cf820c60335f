/* command_line.h: the subcommands: what they are called, and what follows their names. */
#pragma once

#include <stdbool.h>

struct command {
	const char *name;
	const char *arguments; /* as shown in the list */
	const char *about;
	/* argv[0] is "lowtide NAME". Returns the exit code. */
	int (*run)(int argc, char **argv);
	bool asks; /* a server: the client's side */
};

extern const struct command commands[]; /* ends with a NULL name */

/* command.run of each, in its command_*.c. */
int command_serve(int argc, char **argv);
int command_run(int argc, char **argv);
int command_prepare(int argc, char **argv);
int command_join(int argc, char **argv);
int command_check(int argc, char **argv);
int command_key(int argc, char **argv);
int command_org(int argc, char **argv);
int command_health(int argc, char **argv);
int command_gc(int argc, char **argv);
int command_migrate(int argc, char **argv);
int command_list(int argc, char **argv);
int command_show(int argc, char **argv);
int command_watch(int argc, char **argv);
int command_wait(int argc, char **argv);
int command_top(int argc, char **argv);
int command_estimate(int argc, char **argv);
int command_cancel(int argc, char **argv);
int command_hold(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_retry(int argc, char **argv);
int command_login(int argc, char **argv);
int command_logout(int argc, char **argv);
int command_submit(int argc, char **argv);
int command_results(int argc, char **argv);
int command_files(int argc, char **argv);
