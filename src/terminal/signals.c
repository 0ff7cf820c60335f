/* signals.c: the signals are blocked in every thread and the main thread asks for them, so no
 * handler ever runs in the middle of anything until the very end. */
#include "terminal/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static sigset_t ending_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return set;
}

void signals_block(void)
{
	sigset_t set = ending_signals();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of write(), no more */
}

void signals_block_hangup(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *wait_for_eof(void *unused)
{
	char ignored[512];
	ssize_t n;

	do
		n = read(STDIN_FILENO, ignored, sizeof(ignored));
	while (n > 0 || (n < 0 && errno == EINTR));
	kill(getpid(), SIGTERM);
	return unused;
}

bool signals_stop_at_eof(struct error *err)
{
	pthread_t thread;
	sigset_t all, before;

	signals_block();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* of the thread: signals are for others */
	int code = pthread_create(&thread, NULL, wait_for_eof, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code != 0)
		return fail_sys(err, code, "starting to watch standard input");
	pthread_detach(thread);
	return true;
}

static bool is_blocked(int number)
{
	sigset_t blocked;

	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	return sigismember(&blocked, number) == 1;
}

int signals_wait(int timeout_ms)
{
	struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	sigset_t set = ending_signals();
	int number;

	if (is_blocked(SIGHUP))
		sigaddset(&set, SIGHUP);

	do
		number = timeout_ms < 0 ? sigwaitinfo(&set, NULL)
					: sigtimedwait(&set, NULL, &timeout);
	while (number < 0 && errno == EINTR);
	return number < 0 ? 0 : number;
}

void signals_reader_gone(int saved_errno)
{
	if (saved_errno != EPIPE)
		return;
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

static void end_at_once(int number)
{
	_exit(128 + number);
}

void signals_end_at_once(void)
{
	struct sigaction action = { .sa_handler = end_at_once };
	sigset_t set = ending_signals();

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
