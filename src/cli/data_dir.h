/* data_dir.h: the directory that a server, or a run, keeps everything in.
 *
 * A server's directory and its database (meta.db) hold the same random id and count its starts and
 * stops, the directory in a file of its own:
 *
 *	DATA/lowtide.id     lowtide data directory
 *	                    id 4f0c…
 *	                    turns 12
 *
 * So a database that is new, older than the files beside it, or another directory's is noticed
 * before a file is touched, and the operator decides (`lowtide serve --adopt`). Copies of the whole
 * directory stay whole. The database counts first, so it never has fewer turns than the directory
 * but when it is an older one:
 *
 *	a crash                         leaves                          the next start
 *	after the first row (turns 0)   a row, no file                  writes the file
 *	after the file                  the file ahead of turns 0       counts the row up
 *	between the two, later          the row one ahead               counts on from the row
 *
 * A directory of before there were ids has a row with turns 0 from the migration.
 *
 * Nodes (data_dir_share()) have several directories of one database, which is counted in one transaction: a
 * crash behind it leaves the row ahead. */
#pragma once

#include "base/error.h"
#include "store/store.h"

/* Makes `path` (0700) unless it is there; its parent must be. */
MUST_USE bool data_dir_make(const char *path, struct error *err);
/* Locks `path`/lowtide.lock for this process; INVALID, naming the other process, if it is locked
 * already. Closing *ret_fd, or dying, unlocks. */
MUST_USE bool data_dir_lock(const char *path, int *ret_fd, struct error *err);

/* Before the store is opened: INVALID if there is no database, or an empty one, beside blobs or
 * journals. With `adopt` it is let pass. */
MUST_USE bool data_dir_check(const char *path, bool adopt, struct error *err);
/* Counts a start. INVALID, with what can be done, if blobs or journals stand there and the database
 * is not the directory's, or is an older one; or if the store is elsewhere, and another directory's;
 * with `adopt` it becomes the directory's as it is. */
MUST_USE bool data_dir_join(const char *path, struct store *store, bool adopt, struct error *err);
/* As data_dir_join(), for a node that shares the database with others (PostgreSQL, and a bucket): each has a
 * directory of its own, and all hold the database's id, which whoever is first gives it. So a directory that
 * is new takes that id. INVALID, unless with `adopt`: the directory is another database's, or the database
 * is older than it, or files stand there and no id. Turns are the database's, counted by all nodes, and the
 * directory holds those of its own last. Any number of nodes at one time. */
MUST_USE bool data_dir_share(const char *path, struct store *store, bool adopt, struct error *err);
/* Counts a node's stop. */
MUST_USE bool data_dir_share_end(const char *path, struct store *store, struct error *err);
/* Counts a stop: a copy of the database that was made meanwhile is an older one from now on. */
MUST_USE bool data_dir_leave(const char *path, struct store *store, struct error *err);
