-- The data directory that this database belongs to. One row, or none in a database that is new. turns
-- counts starts and stops of servers: a database with fewer than its directory is an older one. 0: the
-- directory's own file may not be written yet.
CREATE TABLE directory (
	one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	id      TEXT NOT NULL,
	turns   INTEGER NOT NULL,
	seen_at INTEGER NOT NULL -- when turns was counted up last
) STRICT;
-- A database that was used before there was this table: its directory is the one it is found in.
INSERT INTO directory SELECT 1, lower(hex(randomblob(16))), 0, 0 WHERE EXISTS (SELECT 1 FROM org);
