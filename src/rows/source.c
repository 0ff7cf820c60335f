/* source.c: read(2) into a window that grows to the longest row. */
#include "rows/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAW_BYTES (64u << 10)
#define READ_BYTES (4 * RAW_BYTES) /* at least; one byte of another encoding becomes four at most */
#define WINDOW_BYTES (2 * READ_BYTES)

static bool conversion_open(struct source *s, const char *encoding, struct error *err)
{
	if (encoding == NULL)
		return true;
	s->conversion = iconv_open("UTF-8", encoding);
	if (s->conversion == (iconv_t)-1)
		return fail(
			err, ERR_INVALID,
			"--encoding: '%.60s' is not known here; `iconv -l` lists what is, such as "
			"windows-1252, latin1, utf-16, gb18030, shift_jis",
			encoding);
	s->raw = malloc(RAW_BYTES);
	return s->raw != NULL || fail_memory(err);
}

static bool file_open(struct source *s, const char *path, struct error *err)
{
	struct stat st;

	if (strcmp(path, "-") == 0)
		s->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (s->fd < 0 || fstat(s->fd, &st) != 0)
		return fail(err, ERR_INVALID, "%s: %s", s->name, strerrordesc_np(errno));
	return !S_ISDIR(st.st_mode) ||
	       fail(err, ERR_INVALID, "%s is a directory, where a file is read", s->name);
}

bool source_open(struct source *s, const char *path, const char *encoding, struct error *err)
{
	*s = SOURCE_CLOSED;
	s->name = strcmp(path, "-") == 0 ? "standard input" : path;
	if (conversion_open(s, encoding, err) && file_open(s, path, err))
		return true;
	source_close(s);
	return false;
}

void source_close(struct source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->conversion != (iconv_t)-1)
		iconv_close(s->conversion);
	free(s->raw);
	free(s->p);
	*s = SOURCE_CLOSED;
}

/* Room for READ_BYTES behind the window. */
static bool room_make(struct source *s, struct error *err)
{
	size_t held = s->end - s->at;

	if (s->at > 0) {
		memmove(s->p, s->p + s->at, held);
		s->at = 0;
		s->end = held;
	}
	if (s->room - s->end >= READ_BYTES)
		return true;
	if (held > ROW_BYTES_MAX)
		return fail(
			err, ERR_INVALID,
			"%s: a row has more than %u MiB: is a quote not closed, or is it another "
			"format (--format csv|tsv|jsonl|text)?",
			s->name, ROW_BYTES_MAX >> 20);
	size_t room = s->room == 0 ? WINDOW_BYTES : s->room * 2;
	char *p = realloc(s->p, room);
	if (p == NULL)
		return fail_memory(err);
	s->p = p;
	s->room = room;
	return true;
}

static ssize_t read_some(int fd, char *to, size_t n)
{
	ssize_t got;

	do
		got = read(fd, to, n);
	while (got < 0 && errno == EINTR);
	return got;
}

static bool fail_read(const struct source *s, struct error *err)
{
	return fail_sys(err, errno, "reading %s", s->name);
}

static bool fail_conversion(const struct source *s, size_t used, const char *why, struct error *err)
{
	return fail(err, ERR_INVALID, "%s: byte %zu %s: is it in another --encoding?", s->name,
		    s->raw_at + used, why);
}

/* Converts what is at hand; what begins a character and does not end it stays in `raw`. */
static bool convert(struct source *s, struct error *err)
{
	char *from = s->raw, *to = s->p + s->end;
	size_t left = s->raw_n, room = s->room - s->end;

	if (iconv(s->conversion, &from, &left, &to, &room) == (size_t)-1 && errno == EILSEQ)
		return fail_conversion(s, s->raw_n - left, "is no character", err);
	s->end = s->room - room;
	s->raw_at += s->raw_n - left;
	memmove(s->raw, from, left);
	s->raw_n = left;
	return true;
}

/* Some encodings hold a character back until they know what follows. */
static void convert_end(struct source *s)
{
	char *to = s->p + s->end;
	size_t room = s->room - s->end;

	(void)!iconv(s->conversion, NULL, NULL, &to, &room);
	s->end = s->room - room;
}

static bool more_converted(struct source *s, struct error *err)
{
	ssize_t got = read_some(s->fd, s->raw + s->raw_n, RAW_BYTES - s->raw_n);

	if (got < 0)
		return fail_read(s, err);
	s->raw_n += (size_t)got;
	s->ended = got == 0;
	if (!s->ended)
		return convert(s, err);
	convert_end(s);
	return s->raw_n == 0 || fail_conversion(s, 0, "begins a character that is cut off", err);
}

bool source_more(struct source *s, struct error *err)
{
	if (!room_make(s, err))
		return false;
	if (s->conversion != (iconv_t)-1)
		return more_converted(s, err);
	ssize_t got = read_some(s->fd, s->p + s->end, s->room - s->end);
	if (got < 0)
		return fail_read(s, err);
	s->end += (size_t)got;
	s->ended = got == 0;
	return true;
}
