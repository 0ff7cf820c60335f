-- Tells all nodes of this schema $1 (struct online_told as text, node_db.c). A NOTIFY is a transaction, which
-- waits for no disk here: nothing of it is to last. Index: none.
SELECT count(pg_notify('lowtide_online_' || current_schema()::regnamespace::oid, $1))
FROM set_config('synchronous_commit', 'off', TRUE)
