/* uploads.h: uploads in parts (contract 4): what a client has announced, and the parts that came.
 * Threads and errors as store.h says.
 *
 * A pending upload counts as one file of its organization, with the bytes that it is to have, or those
 * of all its parts if they are more: in the row of the organization, so also after a restart. Whatever
 * ends it gives them back, and names the blobs that are no file's for store_blobs_spare(). */
#pragma once

#include "store/store.h"

enum upload_status { UPLOAD_PENDING, UPLOAD_COMPLETED, UPLOAD_CANCELLED, UPLOAD_EXPIRED };
const char *upload_status_name(enum upload_status status);

/* How long an upload is pending at most (contract 4), and how many parts it may have. */
#define UPLOAD_PENDING_S 3600
#define UPLOAD_PARTS_MAX 16384u

struct upload_row {
	char id[ID_SIZE];
	char org[ID_SIZE];
	uint64_t bytes; /* that the file is to have */
	char filename[sizeof(((struct file *)0)->filename)];
	int64_t expires_after_s; /* of the file, 0: as configured */
	int64_t created_at, expires_at;
	enum upload_status status;
	bool ended;         /* its row says so; one that is past its time may be pending there */
	char blob[ID_SIZE]; /* of parts that came one after the other; also the name of a file to be */
	uint64_t blob_bytes; /* of it: what stands behind is no part */
	uint64_t received;   /* bytes of all parts */
	uint64_t parts;
	char file[ID_SIZE]; /* of one that is completed */
	char part_list[65]; /* hash of the list that it was completed with */
};

struct upload_part {
	char id[ID_SIZE];
	char blob[ID_SIZE]; /* the upload's, or one of its own, which has the part's id */
	uint64_t at, bytes;
};

/* Adds the pending upload `u` and records `call`; *ret_id as in store_file_insert(). INVALID
 * file_quota_exceeded where `quota` has no room for it; RATE_LIMIT if the organization has
 * `uploads_max` (0: any number) pending ones. */
MUST_USE bool store_upload_insert(struct store *s, const struct upload_row *u,
				  const struct file_quota *quota, uint64_t uploads_max,
				  const struct call *call, char ret_id[static ID_SIZE],
				  struct error *err);
/* One that is past its time at `now` is expired. NOT_FOUND 24 h after its end. */
MUST_USE bool store_upload_get(struct store *s, const char *org, const char *id, int64_t now,
			       struct upload_row *ret, struct error *err);
/* INVALID unless `u` is pending. */
MUST_USE bool upload_is_pending(const struct upload_row *u, struct error *err);
/* Adds the part `p`, whose bytes are durable. INVALID: the upload is not pending any more, has
 * UPLOAD_PARTS_MAX parts, or passes `quota`. */
MUST_USE bool store_part_insert(struct store *s, const char *org, const char *upload_id,
				const struct upload_part *p, const struct file_quota *quota,
				int64_t now, struct error *err);
/* Fills in `parts`, of which only the ids are set. INVALID param part_ids: one is no part of the
 * upload. */
MUST_USE bool store_parts_get(struct store *s, const char *upload_id, struct upload_part *parts,
			      size_t n, struct error *err);
/* Pending -> completed with the file `f`, whose row is made in the same transaction, and whose bytes
 * are durable; the room was the upload's. INVALID: it is not pending any more. */
MUST_USE bool store_upload_complete(struct store *s, const char *upload_id, const struct file *f,
				    const char part_list[static 65], struct error *err);
/* Pending -> cancelled; *ret as it is then. INVALID: it is not pending any more. */
MUST_USE bool store_upload_cancel(struct store *s, const char *org, const char *id, int64_t now,
				  struct upload_row *ret, struct error *err);
