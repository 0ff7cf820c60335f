/* submission.c: see submission.h. */
#include "terminal/submission.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/part.h"
#include "base/sys.h"
#include "remote/kept.h"
#include "terminal/member.h"

#define KEY_GOOD_S (23 * 3600)    /* the server remembers one for 24 hours */
#define UNUSED_S INT64_C(2592000) /* 30 days: longer than windows, and than servers keep files */
#define LOOKS_MAX 10000u          /* names in the directory, of one call */

/* ---- names and keys ---- */

static void key_make(char to[static 48])
{
	unsigned char random[16];

	random_bytes(random, sizeof(random));
	memcpy(to, "lowtide-", 9);
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(to + 8 + 2 * i, 3, "%02x", random[i]);
}

static void batch_key_make(struct submission *s)
{
	key_make(s->batch_key);
	s->keyed_at = sys.now_s();
	free(s->batch_id);
	s->batch_id = NULL;
}

/* One name for each server and file. */
static bool name_make(const char *server_url, const struct request_file *in, char **ret,
		      struct error *err)
{
	AUTO(auto_free) char *real = realpath(in->path, NULL);
	AUTO(auto_free) char *all = NULL;
	char hash[65], name[96];

	if (asprintf(&all, "%s\n%s", server_url, real != NULL ? real : in->path) < 0)
		return fail_memory(err);
	id_secret_hash(slice_of(all), hash);
	snprintf(name, sizeof(name), "submit-%.40s.json", hash);
	return kept_path(KEPT_STATE, name, ret, err);
}

bool submission_is_old(const struct submission *s)
{
	return s->keyed_at < sys.now_s() - KEY_GOOD_S;
}

/* ---- as JSON ---- */

static bool file_same(const json_t *o, const struct stat *st)
{
	return member_integer(o, "dev") == (int64_t)st->st_dev &&
	       member_integer(o, "ino") == (int64_t)st->st_ino &&
	       member_integer(o, "bytes") == (int64_t)st->st_size &&
	       member_integer(o, "mtime_s") == (int64_t)st->st_mtim.tv_sec &&
	       member_integer(o, "mtime_ns") == (int64_t)st->st_mtim.tv_nsec;
}

static bool text_take(const json_t *o, const char *name, char **ret)
{
	const char *text = member_string(o, name);

	*ret = text[0] != '\0' ? strdup(text) : NULL;
	return text[0] == '\0' || *ret != NULL;
}

static bool upload_take(const json_t *o, struct upload_state *u)
{
	const json_t *parts = member_at(o, "parts"), *id;
	size_t i;

	if (!text_take(o, "file_id", &u->file_id) || !text_take(o, "upload_id", &u->upload_id))
		return false;
	u->part_bytes = (uint64_t)member_integer(o, "part_bytes");
	json_array_foreach(parts, i, id)
	{
		const char *text = json_string_value(id);
		if (text == NULL || !upload_state_add(u, text))
			return false;
	}
	/* without its size no part says what it holds */
	return u->upload_id == NULL || u->part_bytes > 0;
}

static bool key_take(const json_t *o, const char *name, char to[static 48])
{
	return slice_copy(slice_of(member_string(o, name)), to, 48) && to[0] != '\0';
}

/* False: it is not what this program writes, or memory is out. */
static bool take(struct submission *s, const json_t *o, const char *options)
{
	if (!key_take(o, "file_key", s->file_key) || !upload_take(o, &s->upload))
		return false;
	bool same = strcmp(member_string(o, "options"), options) == 0 &&
		    key_take(o, "batch_key", s->batch_key);
	s->keyed_at = member_integer(o, "keyed_at");
	if (same && !text_take(o, "batch_id", &s->batch_id))
		return false;
	if (!same || (s->batch_id == NULL && submission_is_old(s)))
		batch_key_make(s);
	return true;
}

static void fresh(struct submission *s)
{
	upload_state_done(&s->upload);
	key_make(s->file_key);
	batch_key_make(s);
}

static char *text_of(const struct submission *s)
{
	const struct upload_state *u = &s->upload;
	json_t *parts = json_array();

	for (size_t i = 0; i < u->part_count; i++)
		json_array_append_new(parts, json_string(u->parts[i]));
	json_t *o = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:I, s:s, s:s*, s:s*, s:s*, s:I, s:o}", "dev",
		(json_int_t)s->file.st_dev, "ino", (json_int_t)s->file.st_ino, "bytes",
		(json_int_t)s->file.st_size, "mtime_s", (json_int_t)s->file.st_mtim.tv_sec,
		"mtime_ns", (json_int_t)s->file.st_mtim.tv_nsec, "file_key", s->file_key,
		"batch_key", s->batch_key, "keyed_at", (json_int_t)s->keyed_at, "options",
		s->options, "batch_id", s->batch_id, "upload_id", u->upload_id, "file_id",
		u->file_id, "part_bytes", (json_int_t)u->part_bytes, "parts", parts);
	char *text = NULL;
	if (o != NULL && json_array_size(parts) == u->part_count)
		text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

/* ---- the lock, and what nobody uses any more ---- */

/* False: another process has it. */
static bool lock(const char *record, int *ret_fd)
{
	AUTO(auto_free) char *path = NULL;
	struct error err;

	*ret_fd = -1;
	return asprintf(&path, "%s.lock", record) >= 0 && part_open(path, ret_fd, &err);
}

/* The lock goes last: who opens it after that makes a new one. */
static void record_drop(const char *record, int lock_fd)
{
	AUTO(auto_free) char *lock_path = NULL, *beside = NULL;
	struct error err;
	bool was;

	if (asprintf(&beside, "%s.new", record) >= 0)
		(void)!kept_remove(beside, &was, &err);
	/* what cannot be removed counts no longer than UNUSED_S */
	if (kept_remove(record, &was, &err) && asprintf(&lock_path, "%s.lock", record) >= 0)
		part_drop(lock_fd, lock_path);
}

/* A record that is not there is old, too: its lock stands alone. */
static bool is_unused(const char *path)
{
	struct stat st;

	return stat(path, &st) != 0 || st.st_mtime < sys.now_s() - UNUSED_S;
}

static void sweep_one(const char *record)
{
	AUTO(auto_close) int lock_fd = -1;

	if (is_unused(record) && lock(record, &lock_fd) && is_unused(record))
		record_drop(record, lock_fd);
}

/* "submit-….json" of that, of its lock, or of half a one that a kill has left. */
static bool record_of(const char *directory, const char *name, char **ret)
{
	const char *end = strstr(name, ".json");

	return strncmp(name, "submit-", 7) == 0 && end != NULL &&
	       asprintf(ret, "%s%.*s.json", directory, (int)(end - name), name) >= 0;
}

/* Calls that were cut off and never made again. */
static void sweep(const struct submission *own)
{
	AUTO(auto_free) char *directory = NULL;
	struct error err;
	DIR *d = kept_path(KEPT_STATE, "", &directory, &err) ? opendir(directory) : NULL;
	size_t looks = 0;

	for (struct dirent *e; d != NULL && looks < LOOKS_MAX && (e = readdir(d)) != NULL;
	     looks++) {
		AUTO(auto_free) char *entry = NULL, *record = NULL;
		if (asprintf(&entry, "%s%s", directory, e->d_name) >= 0 && is_unused(entry) &&
		    record_of(directory, e->d_name, &record) && strcmp(record, own->path) != 0)
			sweep_one(record);
	}
	if (d != NULL)
		closedir(d);
}

/* ---- opening ---- */

static void keep_no_more(struct submission *s)
{
	free(s->path);
	s->path = NULL;
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = -1;
}

/* What is of no use is none: a damaged file, say, or one of another form. */
static bool load(struct submission *s, const char *options, struct error *err)
{
	char *text;

	fresh(s);
	if (s->path == NULL)
		return true;
	if (!kept_read(s->path, &text, err))
		return false;
	json_t *o = text != NULL ? json_loads(text, 0, NULL) : NULL;
	free(text);
	if (o != NULL && file_same(o, &s->file) && !take(s, o, options))
		fresh(s);
	json_decref(o);
	return true;
}

bool submission_open(struct submission *s, const char *server_url, const struct request_file *in,
		     const char *options, struct error *err)
{
	struct error none;

	*s = (struct submission){ .lock_fd = -1, .file = in->st, .options = strdup(options) };
	if (s->options == NULL)
		return fail_memory(err);
	if (in->is_stdin || !name_make(server_url, in, &s->path, &none) ||
	    !kept_make_room(s->path, &none) || !lock(s->path, &s->lock_fd))
		keep_no_more(s);
	else
		sweep(s);
	if (load(s, options, err))
		return true;
	submission_close(s);
	return false;
}

bool submission_keep(struct submission *s, struct error *err)
{
	if (s->path == NULL)
		return true;
	char *text = text_of(s);
	if (text == NULL)
		return fail_memory(err);
	bool good = kept_write(s->path, text, err);
	free(text);
	return good;
}

void submission_forget_batch(struct submission *s)
{
	batch_key_make(s);
}

void submission_end(struct submission *s)
{
	if (s->path != NULL)
		record_drop(s->path, s->lock_fd);
}

void submission_close(struct submission *s)
{
	keep_no_more(s);
	upload_state_done(&s->upload);
	free(s->options);
	free(s->batch_id);
}
