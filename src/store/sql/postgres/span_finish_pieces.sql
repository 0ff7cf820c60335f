-- The lines of span $2 of batch $1, if it is finished, are in its parts. Index: primary keys.
DELETE FROM journal_pieces
WHERE batch = $1 AND span = $2
	AND EXISTS (SELECT 1 FROM spans WHERE batch = $1 AND n = $2 AND finished)
