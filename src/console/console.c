/* console.c: see console.h. */
#include "console/console.h"

#include <string.h>

#include "base/attr.h"

#ifdef LOWTIDE_CONSOLE

/* A file: `at` in the bytes, first as it is, then packed. */
struct packed {
	const char *path, *type, *etag;
	size_t at, plain, gzip;
};

#include "console_assets.h"

/* The assembler reads the bytes: a compiler takes a second a megabyte for them as an array. */
__asm__(".pushsection .rodata\n"
	".globl console_bytes\n"
	".hidden console_bytes\n"
	"console_bytes:\n"
	".incbin \"" CONSOLE_BYTES_FILE "\"\n"
	".popsection\n");
extern const char console_bytes[] __attribute__((visibility("hidden")));

bool console_is_built(void)
{
	return true;
}

bool console_list(unsigned number, struct console_file *ret)
{
	if (number >= ARRAY_LEN(packed))
		return false;
	const struct packed *p = &packed[number];
	*ret = (struct console_file){
		.path = p->path,
		.type = p->type,
		.etag = p->etag,
		.plain = { console_bytes + p->at, p->plain },
		.gzip = { console_bytes + p->at + p->plain, p->gzip },
	};
	return true;
}

#else

bool console_is_built(void)
{
	return false;
}

bool console_list(unsigned number, struct console_file *ret)
{
	(void)number;
	(void)ret;
	return false;
}

#endif

bool console_find(const char *path, struct console_file *ret)
{
	if (path[0] == '\0')
		path = "index.html";
	for (unsigned i = 0; console_list(i, ret); i++)
		if (strcmp(ret->path, path) == 0)
			return true;
	return false;
}
