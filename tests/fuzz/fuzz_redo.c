/* A file in the place of a redo log, with a header of another kernel: entries that check are written to
 * files below files/ and batches/, and to no others; whatever else it holds is none. The input is tried as
 * it is behind the header, and as entries whose checks hold. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/sys.h"
#include "fuzz.h"
#include "redo/redo.h"
#include "redo/redo_format.h"

static char dir[] = "/dev/shm/lowtide-fuzz-XXXXXX";

static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

static void clean_up(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	PROMISE(system(command) == 0); // NOLINT(cert-env33-c)
}

static void make(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	PROMISE(mkdir(path, 0700) == 0);
}

static void start(void)
{
	static bool started;

	if (started)
		return;
	started = true;
	PROMISE(mkdtemp(dir) != NULL);
	make("redo");
	make("files");
	make("batches");
	atexit(clean_up);
	log_set_level(LOG_OFF);
	sys.fsync = sys.fdatasync = sys.syncfs = no_sync;
}

/* A log of these bytes behind a header. */
static void try(struct slice entries)
{
	const struct redo_header h = redo_header_make(1, 1, false);
	struct redo *r;
	struct error err;
	char path[128];

	snprintf(path, sizeof(path), "%s/redo/0", dir);
	FILE *f = fopen(path, "w");
	PROMISE(f != NULL && fwrite(&h, sizeof(h), 1, f) == 1);
	PROMISE(fwrite(entries.p, 1, entries.n, f) == entries.n && fclose(f) == 0);
	snprintf(path, sizeof(path), "%s/redo/1", dir);
	(void)unlink(path);
	if (!redo_open(dir, &r, &err))
		return; /* a name that is a directory */
	redo_close(r);
}

/* Entries of the input: a kind, a place, a length and a name each, and the bytes. */
static void entries_make(struct slice in, struct buf *to)
{
	uint64_t sequence = 1;

	while (in.n > 8) {
		char name[32];
		size_t n = (unsigned char)in.p[2] % 64;
		snprintf(name, sizeof(name), "%.*s", in.p[3] & 1 ? 8 : 5,
			 in.p[3] & 2 ? "batches/" : "files/");
		size_t at = strlen(name);
		memcpy(name + at, in.p + 4, 4);
		name[at + 4] = '\0';
		in.p += 8;
		in.n -= 8;
		n = n < in.n ? n : in.n;
		redo_entry_add(to, (enum redo_kind)((unsigned char)in.p[-8] % 5), name,
			       (unsigned char)in.p[-7], (struct slice){ in.p, n }, sequence++);
		in.p += n;
		in.n -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_free) struct buf entries = BUF(4u << 20);
	const struct slice in = { (const char *)data, size };

	start();
	try(in);
	entries_make(in, &entries);
	/* those of a kind that is none end the sealing */
	struct redo_head head;
	size_t whole = 0;
	while (entries.n - whole >= sizeof(head)) {
		memcpy(&head, entries.p + whole, sizeof(head));
		if (redo_entry_size(&head) == 0)
			break;
		whole += redo_entry_size(&head);
	}
	redo_entries_seal(entries.p, whole, 1);
	try((struct slice){ entries.p != NULL ? entries.p : "", whole });
	return 0;
}
