/* login.c: see login.h. */
#include "terminal/login.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "remote/kept.h"
#include "remote/login.h"
#include "terminal/report.h"

#define KEY_BYTES_MAX 4096u
#define CTRL_C 3

/* ---- the key ---- */

/* Signals that end the process wait until there is an echo again. */
static void endings_block(sigset_t *before)
{
	sigset_t endings;

	sigemptyset(&endings);
	sigaddset(&endings, SIGINT);
	sigaddset(&endings, SIGTERM);
	sigaddset(&endings, SIGHUP);
	sigaddset(&endings, SIGQUIT);
	sigaddset(&endings, SIGTSTP);
	sigprocmask(SIG_BLOCK, &endings, before);
}

/* A line of a terminal without echo. Ctrl-C is a character meanwhile, which ends the line as well:
 * there is no answer then. */
static ssize_t quiet_read(char *to, size_t size)
{
	struct termios usual, quiet;
	sigset_t before;
	ssize_t n = -1;

	if (tcgetattr(STDIN_FILENO, &usual) != 0)
		return -1;
	quiet = usual;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	quiet.c_cc[VEOL] = CTRL_C;
	endings_block(&before);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0) {
		fputs("API key (it is not shown): ", stderr);
		n = read(STDIN_FILENO, to, size);
		fputc('\n', stderr);
	}
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return n;
}

static bool key_read(char **ret, struct error *err)
{
	bool asks = isatty(STDIN_FILENO);
	char *text = calloc(1, KEY_BYTES_MAX + 1);

	*ret = text;
	if (text == NULL)
		return fail_memory(err);
	if (!asks && fgets(text, KEY_BYTES_MAX, stdin) == NULL)
		return fail(err, ERR_INVALID,
			    "no API key came on standard input (lowtide login URL < KEY-FILE)");
	if (asks && (quiet_read(text, KEY_BYTES_MAX) <= 0 || strchr(text, CTRL_C) != NULL))
		return fail(err, ERR_INVALID, "no API key was given, and nothing is kept");
	char *from = text + strspn(text, " \t");
	size_t n = strcspn(from, "\r\n");
	while (n > 0 && (from[n - 1] == ' ' || from[n - 1] == '\t'))
		n--;
	if (n == 0)
		return fail(err, ERR_INVALID, "no API key was given, and nothing is kept");
	memmove(text, from, n);
	text[n] = '\0';
	return true;
}

/* ---- keeping it ---- */

/* Whether the server takes the key. An operator's key may not list batches of nobody, and is
 * good. */
static bool try_out(struct remote *r, struct error *err)
{
	struct remote_request q = { .method = "GET", .path = "/batches?limit=1" };

	return remote_json(r, &q, NULL, err) || err->kind == ERR_FORBIDDEN ||
	       (remote_status(r) == 400 && err->kind == ERR_INVALID);
}

static bool keep(const struct remote *r, const char *key, const char *ca_file, struct error *err)
{
	AUTO(auto_free) char *url = strdup(remote_url(r));
	AUTO(auto_free) char *ca = ca_file != NULL ? realpath(ca_file, NULL) : NULL;
	struct login l = { .url = url, .key = (char *)key, .ca_file = ca };

	if (url == NULL || (ca_file != NULL && ca == NULL))
		return fail_memory(err);
	return login_write(&l, err);
}

static bool login_run(const struct asked *a, const char *url, struct error *err)
{
	AUTO(auto_free) char *path = NULL;
	struct remote *r = NULL;
	char *key = NULL;
	bool good = login_path(&path, err);

	if (good && a->key == NULL)
		good = key_read(&key, err);
	struct asked with = *a;
	with.url = url;
	with.key = a->key != NULL ? a->key : key;
	good = good && asked_open(&with, &r, err) && try_out(r, err) &&
	       keep(r, with.key, a->ca_file, err);
	if (good)
		fprintf(stderr, "lowtide: %s takes the key; both are kept in %s\n", remote_url(r),
			path);
	remote_close(r);
	kept_wipe(key);
	return good;
}

static int told(bool good, const struct error *err)
{
	if (good)
		return EXIT_GOOD;
	report(err);
	return exit_code(err);
}

int login_keep(const struct asked *a, const char *url)
{
	struct error err;

	return told(login_run(a, url, &err), &err);
}

int login_forget(void)
{
	struct error err;
	bool was = false, good = login_remove(&was, &err);

	if (good)
		fprintf(stderr, was ? "lowtide: the server and its key are forgotten\n"
				    : "lowtide: no server was kept\n");
	return told(good, &err);
}
