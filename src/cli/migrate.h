/* migrate.h: `lowtide migrate`: the rows of a data directory's meta.db move to PostgreSQL. */
#pragma once

/* No server runs on the directory. Bytes and journals stay, meta.db becomes meta.db.moved: a start
 * without the store is refused from then on. Asked again after a crash, it goes on. Returns an exit
 * code: 2 where the directory has no database, or the schema rows of another. */
int migrate(const char *data_dir, const char *url);
