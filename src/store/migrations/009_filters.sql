-- What lists of batches are filtered by (contract 11.3). Lists go by the order of making, so each index
-- ends in `sequence`, or holds it in bits.

-- A filter by time is one by sequence where the clock only went forward. `run` counts how often the
-- organization's batches stepped back in time: within a run created_at never falls, so a span of time
-- is one span of sequence in each run.
ALTER TABLE batch ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
UPDATE batch SET run = coalesce(steps.run, 0)
FROM (
	SELECT id, sum(step) OVER (PARTITION BY org ORDER BY sequence) AS run
	FROM (
		SELECT id, org, sequence,
			created_at < lag(created_at) OVER (PARTITION BY org ORDER BY sequence) AS step
		FROM batch
	)
) AS steps
WHERE steps.id = batch.id;
CREATE INDEX batch_by_time ON batch (org, run, created_at, sequence);

-- Which batches have a status, or a pair of metadata (a label, each kept once): a row for 64 numbers in
-- the order of making, in which a bit stands for each. So filters that are each common are joined in a
-- look at one row in 64 batches, and a rare one has a row for each of its few.
CREATE TABLE status_block (
	org    TEXT NOT NULL REFERENCES org (id),
	status INTEGER NOT NULL,
	block  INTEGER NOT NULL, -- sequence >> 6
	bits   INTEGER NOT NULL, -- 1 << (sequence & 63)
	PRIMARY KEY (org, status, block)
) STRICT, WITHOUT ROWID;
CREATE TABLE label (
	id    INTEGER NOT NULL PRIMARY KEY,
	org   TEXT NOT NULL REFERENCES org (id),
	key   TEXT NOT NULL,
	value TEXT NOT NULL,
	UNIQUE (org, key, value)
) STRICT;
CREATE TABLE label_block (
	label INTEGER NOT NULL REFERENCES label (id),
	block INTEGER NOT NULL,
	bits  INTEGER NOT NULL,
	PRIMARY KEY (label, block)
) STRICT, WITHOUT ROWID;

INSERT INTO status_block
SELECT org, status, sequence >> 6, sum(1 << (sequence & 63)) FROM batch
GROUP BY org, status, sequence >> 6;

-- Of a key that stands twice in one object the last counts, as JSON parsers have it.
INSERT OR IGNORE INTO label (org, key, value)
SELECT batch.org, pair.key, pair.value
FROM batch CROSS JOIN json_each(batch.metadata) AS pair
WHERE json_valid(batch.metadata);
INSERT INTO label_block
SELECT label.id, sequence >> 6, sum(1 << (sequence & 63))
FROM (
	SELECT batch.org, batch.sequence, pair.key, pair.value, max(pair.id)
	FROM batch CROSS JOIN json_each(batch.metadata) AS pair
	WHERE json_valid(batch.metadata)
	GROUP BY batch.sequence, pair.key
) AS pairs
	CROSS JOIN label
		ON label.org = pairs.org AND label.key = pairs.key AND label.value = pairs.value
GROUP BY label.id, sequence >> 6;

CREATE TRIGGER batch_has_status AFTER INSERT ON batch
BEGIN
	INSERT INTO status_block
	VALUES (new.org, new.status, new.sequence >> 6, 1 << (new.sequence & 63))
	ON CONFLICT (org, status, block) DO UPDATE SET bits = bits | excluded.bits;
END;
CREATE TRIGGER batch_changes_status AFTER UPDATE OF status ON batch
WHEN new.status <> old.status
BEGIN
	UPDATE status_block SET bits = bits & ~(1 << (old.sequence & 63))
	WHERE org = old.org AND status = old.status AND block = old.sequence >> 6;
	DELETE FROM status_block
	WHERE org = old.org AND status = old.status AND block = old.sequence >> 6 AND bits = 0;
	INSERT INTO status_block
	VALUES (new.org, new.status, new.sequence >> 6, 1 << (new.sequence & 63))
	ON CONFLICT (org, status, block) DO UPDATE SET bits = bits | excluded.bits;
END;
CREATE TRIGGER batch_has_labels AFTER INSERT ON batch
WHEN new.metadata IS NOT NULL AND json_valid(new.metadata)
BEGIN
	INSERT OR IGNORE INTO label (org, key, value)
	SELECT new.org, key, value
	FROM (SELECT key, value, max(id) FROM json_each(new.metadata) GROUP BY key);
	INSERT INTO label_block
	SELECT label.id, new.sequence >> 6, 1 << (new.sequence & 63)
	FROM (SELECT key, value, max(id) FROM json_each(new.metadata) GROUP BY key) AS pair
		CROSS JOIN label
			ON label.org = new.org AND label.key = pair.key AND label.value = pair.value
	WHERE true
	ON CONFLICT (label, block) DO UPDATE SET bits = bits | excluded.bits;
END;
