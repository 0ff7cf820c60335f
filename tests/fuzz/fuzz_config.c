/* A configuration file: taken, and then it can be shown and its parts be had; or refused with one
 * line that names the file. And twice the same. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/config.h"
#include "base/sys.h"
#include "fuzz.h"

/* What config_print() says of it, or why it is refused. */
static bool load(const char *path, char **ret_text)
{
	struct config c;
	struct error err;
	size_t n;
	FILE *to = open_memstream(ret_text, &n);

	PROMISE(to != NULL);
	bool ok = config_load(path, NULL, 0, &c, &err);
	if (ok) {
		config_print(&c, to);
		(void)config_pipeline(&c);
		(void)config_api(&c);
		(void)config_windows(&c);
		config_done(&c);
	} else {
		PROMISE(err.kind == ERR_INVALID && err.message[0] != '\0');
		PROMISE(strchr(err.message, '\n') == NULL);
		fputs(err.message, to);
	}
	PROMISE(fclose(to) == 0);
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64], *text, *again;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	PROMISE(fd >= 0 && sys_write_all(fd, data, size));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	bool ok = load(path, &text);
	PROMISE(load(path, &again) == ok && strcmp(text, again) == 0);
	free(text);
	free(again);
	close(fd);
	return 0;
}
