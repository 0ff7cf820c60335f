-- Tells all nodes $1 (struct online_told as text, node_db.c). Index: none.
SELECT count(pg_notify('lowtide_online', $1))
