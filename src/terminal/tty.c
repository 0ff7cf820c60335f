/* tty.c: see tty.h. */
#include "terminal/tty.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool tty_is(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && (term == NULL || strcmp(term, "dumb") != 0);
}

bool tty_has_color(int fd)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return tty_is(fd) && term != NULL && term[0] != '\0' && (no == NULL || no[0] == '\0');
}

size_t tty_columns(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 2 ? size.ws_col : SIZE_MAX;
}

size_t tty_rows(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row >= 2 ? size.ws_row : SIZE_MAX;
}

void tty_color(struct buf *to, bool colored, enum tty_color color, struct slice text)
{
	static const char *const codes[] = {
		[COLOR_RED] = "31", [COLOR_GREEN] = "32", [COLOR_YELLOW] = "33",
		[COLOR_DIM] = "2",  [COLOR_BOLD] = "1",
	};
	bool plain = !colored || color == COLOR_NONE || text.n == 0;

	if (!plain)
		buf_printf(to, "\033[%sm", codes[color]);
	buf_add(to, text);
	if (!plain)
		buf_text(to, "\033[0m");
}
