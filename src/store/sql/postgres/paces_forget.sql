-- Of batches that nobody had lines of for $1 s; what another node has at hand stays. All rows, which are few.
DELETE FROM batch_paces WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM batch_paces WHERE at < statement_timestamp() - $1::bigint * interval '1 s'
	FOR UPDATE SKIP LOCKED))
