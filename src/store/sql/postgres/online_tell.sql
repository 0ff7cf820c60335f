-- Tells all nodes of this schema $1 (struct online_told as text, node_db.c). Index: none.
SELECT count(pg_notify('lowtide_online_' || current_schema()::regnamespace::oid, $1))
