/* slow_fsync.c: a library for LD_PRELOAD that makes fsync() and fdatasync() take SLOW_FSYNC_MS
 * longer, as a slow disk does: each call by itself, however many threads call at once. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MS_PER_S 1000L
#define NS_PER_MS 1000000L

typedef int sync_fn(int fd);

static struct timespec delay;
static sync_fn *real_fsync, *real_fdatasync;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find(void)
{
	const char *text = getenv("SLOW_FSYNC_MS");
	long ms = text != NULL ? strtol(text, NULL, 10) : 0;

	delay = (struct timespec){ ms / MS_PER_S, ms % MS_PER_S * NS_PER_MS };
	*(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
	*(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
	if (real_fsync == NULL || real_fdatasync == NULL)
		abort();
}

static void wait_delay(void)
{
	struct timespec left = delay;

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's is a reserved one
int fsync(int fd)
{
	pthread_once(&once, find);
	wait_delay();
	return real_fsync(fd);
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's is a reserved one
int fdatasync(int fd)
{
	pthread_once(&once, find);
	wait_delay();
	return real_fdatasync(fd);
}
