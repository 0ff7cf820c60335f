-- Nodes that write one schema beside each other, and what goes when a batch is final.

-- Waits until no other of the nodes' transactions that number rows is open, and keeps others waiting to
-- its own end. So what is read after it, in a statement of its own, is what is there.
CREATE FUNCTION writers_wait() RETURNS void LANGUAGE sql AS $$
	SELECT pg_advisory_xact_lock(x'4c6f7757'::int, current_schema()::regnamespace::oid::int)
$$; -- "LowW"

-- Batches all of whose spans are finished, and that are not final. A row is made with the last span's
-- end.
CREATE TABLE whole_batches (
	batch TEXT COLLATE "C" PRIMARY KEY REFERENCES batch (id)
);

-- Whole batch $1 goes from in progress to finalizing, as batch_move.sql does; one that is cancelled
-- stays so.
CREATE FUNCTION batch_finalizing(TEXT) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM writers_wait();
	UPDATE batch SET status = 2,
		changed = (SELECT max(b.changed) + 1 FROM batch AS b WHERE b.org = batch.org),
		finalizing_at = greatest(created_at, floor(extract(epoch FROM statement_timestamp()))::bigint)
	WHERE id = $1 AND status = 1 AND EXISTS (SELECT 1 FROM whole_batches WHERE batch = $1)
		AND NOT EXISTS (SELECT 1 FROM spans WHERE batch = $1 AND expired > 0);
END $$;

-- What its parts hold is in its result files by then, or in none. Spans first: a settlement that has
-- locked its span is waited for, and its pieces seen.
CREATE FUNCTION batch_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM spans WHERE batch = new.id;
	DELETE FROM journal_pieces WHERE batch = new.id;
	DELETE FROM whole_batches WHERE batch = new.id;
	RETURN NULL;
END $$;
CREATE TRIGGER batch_is_final AFTER UPDATE OF status ON batch FOR EACH ROW
	WHEN (new.status >= 4 AND old.status < 4) EXECUTE FUNCTION batch_is_final();

-- Batches that nobody may be validating any more (batch_validating.sql).
CREATE INDEX batch_validating ON batch (created_at) WHERE status = 0;
