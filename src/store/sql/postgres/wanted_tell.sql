-- Tells all nodes of this schema $1 (struct wanted_told as text, node_db.c). As in online_tell.sql: waits for no disk.
-- Index: none.
SELECT count(pg_notify('lowtide_wanted_' || current_schema()::regnamespace::oid, $1))
FROM set_config('synchronous_commit', 'off', TRUE)
