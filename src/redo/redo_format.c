/* redo_format.c: see redo_format.h. */
#include "redo/redo_format.h"

#include <string.h>
#include <xxhash.h>

#define MAGIC "LTREDO\0"
#define VERSION 1u
#define CHECK_SKIP sizeof(uint64_t) /* the check itself, first in an entry */

/* ---- the beginning of a generation ---- */

static uint64_t header_check(const struct redo_header *h)
{
	return XXH3_64bits(h, offsetof(struct redo_header, check));
}

struct redo_header redo_header_make(uint64_t generation, uint64_t kernel, bool done)
{
	struct redo_header h = { .magic = MAGIC,
				 .version = VERSION,
				 .done = done,
				 .generation = generation,
				 .kernel = kernel };

	h.check = header_check(&h);
	return h;
}

enum redo_header_kind redo_header_look(const struct redo_header *h)
{
	static const struct redo_header none;

	if (memcmp(h, &none, sizeof(none)) == 0)
		return REDO_HEADER_NONE;
	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0)
		return REDO_HEADER_DAMAGED;
	if (h->version != VERSION)
		return REDO_HEADER_OF_ANOTHER_VERSION;
	return h->generation != 0 && h->check == header_check(h) ? REDO_HEADER_OURS
								 : REDO_HEADER_DAMAGED;
}

/* ---- entries ---- */

static bool is_plain_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

bool redo_name_is_plain(const char *name, size_t n)
{
	static const struct slice dirs[] = { SLICE("files/"), SLICE("batches/") };
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (n > dirs[i].n && memcmp(name, dirs[i].p, dirs[i].n) == 0)
			at = dirs[i].n;
	if (at == 0 || n > REDO_NAME_MOST || name[at] == '.')
		return false;
	for (; at < n; at++)
		if (!is_plain_char(name[at]))
			return false;
	return true;
}

void redo_entry_add(struct buf *to, enum redo_kind kind, const char *name, uint64_t at,
		    struct slice bytes, uint64_t sequence)
{
	const struct redo_head head = { .sequence = sequence,
					.at = at,
					.length = (uint32_t)bytes.n,
					.kind = (uint16_t)kind,
					.name_n = (uint16_t)strlen(name) };

	if (!buf_reserve(to, sizeof(head) + head.name_n + bytes.n))
		return;
	buf_append(to, &head, sizeof(head));
	buf_append(to, name, head.name_n);
	buf_add(to, bytes);
}

size_t redo_entry_size(const struct redo_head *head)
{
	if (head->kind < REDO_WRITE || head->kind > REDO_GONE || head->name_n > REDO_NAME_MOST ||
	    head->length > REDO_BYTES_MOST)
		return 0;
	return sizeof(*head) + head->name_n + head->length;
}

static uint64_t entry_check(const char *bytes, size_t n)
{
	return XXH3_64bits(bytes + CHECK_SKIP, n - CHECK_SKIP);
}

void redo_entries_seal(char *bytes, size_t n, uint64_t generation)
{
	struct redo_head head;

	for (size_t at = 0, size; at < n; at += size) {
		memcpy(&head, bytes + at, sizeof(head));
		size = redo_entry_size(&head);
		head.generation = generation;
		memcpy(bytes + at, &head, sizeof(head));
		head.check = entry_check(bytes + at, size);
		memcpy(bytes + at, &head, sizeof(head));
	}
}

void redo_entry_take(struct slice bytes, struct redo_entry *ret)
{
	struct redo_head *head = &ret->head;
	const char *name = bytes.p + sizeof(*head);

	memcpy(head, bytes.p, sizeof(*head));
	memcpy(ret->name, name, head->name_n);
	ret->name[head->name_n] = '\0';
	ret->bytes = (struct slice){ name + head->name_n, head->length };
}

bool redo_entry_read(struct slice bytes, uint64_t generation, uint64_t sequence,
		     struct redo_entry *ret)
{
	struct redo_head head;

	if (bytes.n < sizeof(head))
		return false;
	memcpy(&head, bytes.p, sizeof(head));
	if (redo_entry_size(&head) != bytes.n || head.generation != generation ||
	    head.sequence <= sequence || head.check != entry_check(bytes.p, bytes.n) ||
	    !redo_name_is_plain(bytes.p + sizeof(head), head.name_n))
		return false;
	redo_entry_take(bytes, ret);
	return true;
}
