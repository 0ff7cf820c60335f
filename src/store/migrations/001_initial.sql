-- Organizations, keys, calls, files, batches.
--
-- Times are Unix seconds; NULL: has not happened, or never will. Ids are random text, so whatever
-- is listed in order is ordered by (created_at, id).

CREATE TABLE org (
	id         TEXT NOT NULL PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
	id         TEXT NOT NULL PRIMARY KEY,
	org        TEXT NOT NULL REFERENCES org (id),
	hash       TEXT NOT NULL UNIQUE, -- SHA-256 of the key in hex; the key itself is kept nowhere
	hint       TEXT NOT NULL,        -- how the key begins
	created_at INTEGER NOT NULL,
	revoked_at INTEGER
) STRICT;
CREATE INDEX api_key_of_org ON api_key (org, revoked_at);
CREATE INDEX api_key_by_hint ON api_key (hint);

-- Calls that made something, for as long as a repetition of them is to be recognised (contract
-- 2.4). No key in it is unique: the same one may come again after its 24 hours.
CREATE TABLE call (
	api_key         TEXT NOT NULL,
	route           TEXT NOT NULL,
	idempotency_key TEXT,
	fingerprint     TEXT NOT NULL, -- SHA-256 of the content in hex
	answer          TEXT NOT NULL, -- id of what it made
	created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX call_by_key ON call (api_key, route, idempotency_key, created_at)
	WHERE idempotency_key IS NOT NULL;
CREATE INDEX call_by_content ON call (api_key, route, fingerprint, created_at)
	WHERE idempotency_key IS NULL;
CREATE INDEX call_by_time ON call (created_at);

-- A deleted file keeps its row, as a tombstone, for as long as its id is valid as `after` in a list
-- (24 h) and its blob is there.
CREATE TABLE file (
	id         TEXT NOT NULL PRIMARY KEY,
	org        TEXT NOT NULL REFERENCES org (id),
	purpose    TEXT NOT NULL, -- 'batch', 'batch_output'
	bytes      INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	deleted_at INTEGER,       -- by a call, or because it expired
	blob_gone  INTEGER NOT NULL DEFAULT 0,
	sha256     TEXT NOT NULL, -- hex; '' for result files
	filename   TEXT NOT NULL
) STRICT;
CREATE INDEX file_page ON file (org, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX file_page_of_purpose ON file (org, purpose, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX file_by_expiry ON file (expires_at) WHERE deleted_at IS NULL;
CREATE INDEX file_tombstone ON file (deleted_at) WHERE blob_gone;
CREATE INDEX file_spare ON file (deleted_at, id) WHERE deleted_at IS NOT NULL AND NOT blob_gone;

CREATE TABLE batch (
	id                     TEXT NOT NULL PRIMARY KEY,
	org                    TEXT NOT NULL REFERENCES org (id),
	endpoint               TEXT NOT NULL,
	input_file_id          TEXT NOT NULL, -- as asked for
	input_missing          INTEGER NOT NULL, -- it named nothing when the batch was made
	completion_window      TEXT NOT NULL, -- as asked for
	output_expires_after_s INTEGER NOT NULL,
	metadata               TEXT,          -- JSON
	created_at             INTEGER NOT NULL,
	expires_at             INTEGER NOT NULL,

	-- enum batch_status: 0 validating, 1 in_progress, 2 finalizing, 3 cancelling;
	-- final: 4 completed, 5 failed, 6 expired, 7 cancelled
	status         INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 7),
	final          INTEGER NOT NULL AS (status >= 4),
	in_progress_at INTEGER,
	finalizing_at  INTEGER,
	cancelling_at  INTEGER,
	completed_at   INTEGER,
	failed_at      INTEGER,
	expired_at     INTEGER,
	cancelled_at   INTEGER,

	-- what validation found
	total  INTEGER NOT NULL DEFAULT 0, -- lines
	tokens INTEGER NOT NULL DEFAULT 0, -- estimated
	model  TEXT,                       -- NULL: not validated, or several
	errors TEXT,                       -- JSON array

	-- Of a batch that runs: the files it writes, which have no rows in `file` yet. Of one that is
	-- final: its result files, NULL where there are no lines.
	output_file_id TEXT,
	error_file_id  TEXT
) STRICT;
CREATE INDEX batch_page ON batch (org, created_at, id);
CREATE INDEX batch_open ON batch (expires_at, id) WHERE NOT final;
CREATE INDEX batch_open_of_model ON batch (org, model) WHERE NOT final;
CREATE INDEX batch_open_by_input ON batch (input_file_id) WHERE NOT final;
CREATE INDEX batch_open_by_output ON batch (output_file_id) WHERE NOT final;
CREATE INDEX batch_open_by_error ON batch (error_file_id) WHERE NOT final;

-- How far a batch is: a small row of its own, because it is written anew with every segment.
CREATE TABLE progress (
	batch            TEXT NOT NULL PRIMARY KEY REFERENCES batch (id),
	segments         INTEGER NOT NULL DEFAULT 0, -- merged into the result files
	output_bytes     INTEGER NOT NULL DEFAULT 0,
	error_bytes      INTEGER NOT NULL DEFAULT 0,
	output_lines     INTEGER NOT NULL DEFAULT 0,
	error_lines      INTEGER NOT NULL DEFAULT 0,
	journal_from     INTEGER NOT NULL DEFAULT 0,
	completed        INTEGER NOT NULL DEFAULT 0,
	failed           INTEGER NOT NULL DEFAULT 0,
	expired          INTEGER NOT NULL DEFAULT 0,
	cancelled        INTEGER NOT NULL DEFAULT 0,
	retried          INTEGER NOT NULL DEFAULT 0,
	input_tokens     INTEGER NOT NULL DEFAULT 0,
	cached_tokens    INTEGER NOT NULL DEFAULT 0,
	output_tokens    INTEGER NOT NULL DEFAULT 0,
	reasoning_tokens INTEGER NOT NULL DEFAULT 0,
	total_tokens     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A batch whole, in the order in which batch_read() of batches.c takes the columns.
CREATE VIEW batch_whole AS
SELECT id, org, endpoint, input_file_id, input_missing, completion_window, status,
	created_at, expires_at, in_progress_at, finalizing_at, cancelling_at, completed_at, failed_at,
	expired_at, cancelled_at,
	output_expires_after_s,
	total, completed, failed, expired, cancelled, retried,
	input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens,
	output_file_id, error_file_id, model, metadata, errors
FROM batch JOIN progress ON progress.batch = batch.id;
