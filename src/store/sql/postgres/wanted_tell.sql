-- Tells all nodes $1 (struct wanted_told as text, node_db.c). Index: none.
SELECT count(pg_notify('lowtide_wanted', $1))
