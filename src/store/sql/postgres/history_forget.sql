-- What was done before tick $1, at most 10,000 rows; what another node deletes it leaves to that. Index:
-- history_ticks_by_age.
DELETE FROM history_ticks WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM history_ticks WHERE tick < $1 ORDER BY tick LIMIT 10000 FOR UPDATE SKIP LOCKED))
