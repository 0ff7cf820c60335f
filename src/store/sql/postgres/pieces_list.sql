-- The pieces of span $2 of batch $1. Index: primary key.
SELECT chunk, at, length, completed + failed FROM journal_pieces WHERE batch = $1 AND span = $2 ORDER BY chunk
