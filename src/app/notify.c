/* notify.c: the protocol is lines of NAME=VALUE in one datagram. */
#include "app/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"

#define MESSAGE_BYTES 1024
#define WAIT_S 5 /* a socket that nobody reads holds up neither start nor end */

/* A path, or a name without a file ("@name", abstract). 0: neither, or too long. */
static socklen_t address_of(const char *name, struct sockaddr_un *ret)
{
	size_t n = strlen(name);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(ret->sun_path))
		return 0;
	memcpy(ret->sun_path, name, n);
	if (name[0] == '@')
		ret->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

/* False with errno. */
static bool send_to(const char *name, const char *message)
{
	struct timeval wait = { .tv_sec = WAIT_S };
	struct sockaddr_un address;
	socklen_t n = address_of(name, &address);
	int fd = n > 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

	if (n == 0)
		errno = EAFNOSUPPORT;
	if (fd < 0)
		return false;
	bool sent = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
		    sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address,
			   n) >= 0;
	int saved = errno;
	close(fd);
	errno = saved;
	return sent;
}

static void tell(const char *message)
{
	const char *name = getenv("NOTIFY_SOCKET");

	if (name != NULL && name[0] != '\0' && !send_to(name, message))
		log_warn("serve.not_notified", kv_str("socket", name), kv_int("errno", errno));
}

/* `assignments`, each with its LF, then STATUS= of the format, in which no line may end. */
static PRINTF_LIKE(2, 0) void tell_status(const char *assignments, const char *format,
					  va_list values)
{
	char message[MESSAGE_BYTES];
	int n = snprintf(message, sizeof(message), "%sSTATUS=", assignments);

	vsnprintf(message + n, sizeof(message) - (size_t)n, format, values);
	for (char *p = message + n; *p != '\0'; p++)
		if (*p == '\n')
			*p = ' ';
	tell(message);
}

void notify_status(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	tell_status("", format, values);
	va_end(values);
}

void notify_ready(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	tell_status("READY=1\n", format, values);
	va_end(values);
}

void notify_reloading(void)
{
	char message[MESSAGE_BYTES];

	snprintf(message, sizeof(message),
		 "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reads its configuration anew",
		 sys.monotonic_us());
	tell(message);
}

void notify_stopping(uint64_t at_most_s)
{
	char message[MESSAGE_BYTES];

	snprintf(message, sizeof(message),
		 "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64
		 "\nSTATUS=lets what is in flight end, within %" PRIu64 " s",
		 at_most_s * 1000000, at_most_s);
	tell(message);
}

/* JOURNAL_STREAM is "device:inode". */
bool output_is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char here[48];
	struct stat st;

	if (stream == NULL || fstat(fd, &st) != 0)
		return false;
	snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(here, stream) == 0;
}
