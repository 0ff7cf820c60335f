/* backend.h: the operations of one kind of blob store, from which blob.c makes blob.h. A kind has
 * these structs as the first member of its own and fills `ops` and the members marked as the
 * kind's; the rest is blob.c's.
 *
 * Not for users of blobs. Functions that fail return false with `err` filled. */
#pragma once

#include "base/id.h"
#include "blob/blob.h"

struct blob_reader_ops {
	/* Some of `n` (> 0) bytes at `at`, and at least one: *ret_n 0 only at the end and behind
	 * it. Any thread. */
	bool (*read)(const struct blob_reader *r, uint64_t at, void *to, size_t n, size_t *ret_n,
		     struct error *err);
	int (*take_fd)(struct blob_reader *r); /* NULL: it has none */
	void (*close)(struct blob_reader *r);
};

struct blob_reader {
	const struct blob_reader_ops *ops;
	const char *name; /* for messages; the kind's, as long as the reader */
	uint64_t bytes;   /* the kind's; of a writer's reader blob.c's */
};

struct blob_writer_ops {
	/* All of `bytes` at `at`, which is no further than what was written. A failure may leave
	 * some. */
	bool (*write_at)(struct blob_writer *w, uint64_t at, struct slice bytes, struct error *err);
	bool (*sync)(struct blob_writer *w, struct error *err);
	/* Gives the synced bytes their name. */
	bool (*give_name)(struct blob_writer *w, const char *id, enum blob_kind kind,
			  struct error *err);
	/* Without `back`. Not `named`: what was written goes, once it is not read any more. */
	void (*close)(struct blob_writer *w, bool named);
};

struct blob_writer {
	const struct blob_writer_ops *ops;
	struct blob_reader *back; /* the kind's: reads what is being written */
	bool synced, broken;
	bool scratch; /* it will not be synced: no write-back is started */
};

struct blob_appender_ops {
	/* Puts all of `bytes` behind the first a->bytes, whatever stood there. */
	bool (*append)(struct blob_appender *a, struct slice bytes, struct error *err);
	/* Makes the blob a->bytes long, durably. */
	bool (*sync)(struct blob_appender *a, struct error *err);
	void (*close)(struct blob_appender *a);
};

struct blob_appender {
	const struct blob_appender_ops *ops;
	uint64_t bytes; /* where the next ones go; at the opening the kind's */
	uint64_t kept;  /* never rewound below */
	bool dirty;     /* not as it was synced; at the opening the kind's: it cut the blob */
};

struct blobs_ops {
	bool (*open)(struct blobs *blobs, const char *id, enum blob_kind kind,
		     struct blob_reader **ret, struct error *err);
	bool (*create)(struct blobs *blobs, struct blob_writer **ret, struct error *err);
	bool (*append)(struct blobs *blobs, const char *id, uint64_t keep_bytes,
		       struct blob_appender **ret, struct error *err);
	bool (*take)(struct blobs *blobs, const char *path, const char *id, enum blob_kind kind,
		     struct error *err);
	bool (*remove)(struct blobs *blobs, const char *id, struct error *err);
	bool (*lose)(struct blobs *blobs, const char *id, int64_t at, struct error *err);
	bool (*sweep)(struct blobs *blobs, blob_standing_fn standing, void *ctx, int64_t at,
		      struct error *err);
	bool (*sync)(struct blobs *blobs, struct error *err);
	void (*close)(struct blobs *blobs);
	const char *(*trouble)(struct blobs *blobs); /* blobs_trouble(); NULL: never any */
	/* Removes what was lost at `until` or before and adds up what that was. NULL: what is lost is in
	 * the data directory (lost.h). */
	bool (*forget)(struct blobs *blobs, int64_t until, uint64_t *files, uint64_t *bytes,
		       struct error *err);
	/* Only where the store shares syncs: else blob.c makes one by a writer. */
	bool (*put)(struct blobs *blobs, const char *id, enum blob_kind kind, struct slice bytes,
		    struct error *err);
};

struct blobs {
	const struct blobs_ops *ops;
	bool shares_syncs;   /* it has `put` */
	bool no_descriptors; /* readers have none */
	/* blob.c's, zero at first */
	char lent_id[ID_SIZE]; /* whose data are in the user's file `lent_path`; "": none are */
	char *lent_path;
};

/* Ids come from requests. Only what could be one of ours gets as far as a name: no dots, no slashes,
 * no control characters, no great length (name.c). */
bool blob_id_is_plain(const char *id);
/* Fails as where there is no blob `id`. */
bool blob_not_found(const char *id, struct error *err);

/* Whether this thread may not wait for a network (blob_hurry()). */
bool blob_in_hurry(void);

/* A writer without a store (disk_file.c). */
MUST_USE bool blob_unnamed_create(struct blob_writer **ret, struct error *err);
