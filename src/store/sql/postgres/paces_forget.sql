-- Of batches that nobody had lines of for $1 s. All rows, which are few; once an hour.
DELETE FROM batch_paces WHERE at < statement_timestamp() - $1::bigint * interval '1 s'
