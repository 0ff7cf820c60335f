/* main.c: `lowtide SUBCOMMAND ...`: finds the subcommand and runs it. */
#include <argp.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "app/command_line.h"
#include "app/settings_show.h"
#include "app/version.h"
#include "base/log.h"
#include "base/sys.h"
#include "terminal/report.h"

#define LARGE_BYTES (256 << 10)
#define SPARE_BYTES (512 << 10)
#define ABOUT_COLUMN 39 /* of the list of subcommands */

static void print_version(FILE *to, struct argp_state *state)
{
	(void)state;
	fprintf(to, "lowtide %s\n", lowtide_version);
}

static void print_group(FILE *to, const char *title, bool asks)
{
	fprintf(to, "%s\n", title);
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (c->asks != asks)
			continue;
		int n = fprintf(to, "  lowtide %s%s%s", c->name, c->arguments[0] != '\0' ? " " : "",
				c->arguments);
		if (n > ABOUT_COLUMN - 2) /* the text has a line of its own */
			n = fprintf(to, "\n") - 1;
		fprintf(to, "%*s%s\n", ABOUT_COLUMN - n, "", c->about);
	}
}

static void print_commands(FILE *to)
{
	print_group(to, "Server, and batches without one:", false);
	print_group(to,
		    "\nClient of a server (LOWTIDE_URL, LOWTIDE_API_KEY, or lowtide login):", true);
}

static void print_help(FILE *to)
{
	fputs("lowtide: files of requests in, files of answers out: a batch server in front of\n"
	      "any OpenAI-compatible upstream.\n\n",
	      to);
	print_commands(to);
	fputs("\n"
	      "  lowtide help SUBCOMMAND              all its options (also SUBCOMMAND --help, -h)\n"
	      "  lowtide help settings                every setting of the configuration\n"
	      "  lowtide --version\n"
	      "\n"
	      "To begin: lowtide serve --upstream http://127.0.0.1:8080/v1\n",
	      to);
}

static int run_command(const struct command *command, int argc, char **argv)
{
	char name[32]; /* argp shows argv[0] in its messages */

	snprintf(name, sizeof(name), "lowtide %s", command->name);
	argv[0] = name;
	return command->run(argc, argv);
}

static const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

static int refuse_word(const char *word)
{
	if (word[0] != '\0')
		fprintf(stderr, "lowtide: there is no subcommand '%s'; there are:\n", word);
	else
		fputs("lowtide: which subcommand? There are:\n", stderr);
	print_commands(stderr);
	return EXIT_USAGE;
}

/* `lowtide help [SUBCOMMAND|settings]` */
static int help(const char *word)
{
	static char option[] = "--help";
	const struct command *command = command_find(word);
	char *argv[] = { NULL, option, NULL };

	if (command != NULL)
		return run_command(command, 2, argv);
	if (strcmp(word, "settings") == 0) {
		settings_show(stdout);
		return EXIT_GOOD;
	}
	if (word[0] != '\0')
		return refuse_word(word);
	print_help(stdout);
	return EXIT_GOOD;
}

/* Large buffers go back to the system as soon as they are freed: glibc would otherwise keep those
 * of the size that was freed last, and memory once used would never be seen to go. */
static void memory_give_back(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, SPARE_BYTES);
}

/* Connections and files are many; the soft limit is often 1,024. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warn("serve.file_limit", kv_int("errno", errno));
}

int main(int argc, char **argv)
{
	static const char *const help_words[] = { "help", "--help", "-h", "-?", NULL };
	static const char *const version_words[] = { "version", "--version", "-V", NULL };
	const char *word = argc > 1 ? argv[1] : "";
	const struct command *command = command_find(word);

	argp_err_exit_status = EXIT_USAGE;
	argp_program_version_hook = print_version;
	memory_give_back();
	raise_file_limit();
	failpoints_init();
	if (command != NULL)
		return run_command(command, argc - 1, argv + 1);
	if (is_one_of(word, version_words)) {
		print_version(stdout, NULL);
		return EXIT_GOOD;
	}
	if (is_one_of(word, help_words))
		return help(argc > 2 ? argv[2] : "");
	return refuse_word(word);
}
