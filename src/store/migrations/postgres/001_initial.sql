-- The tables of migrations 001 to 020 of SQLite, whose files say what they hold, in PostgreSQL's words:
-- a truth is BOOLEAN, a number BIGINT but for states and the like, and texts are compared byte by byte.
-- What is a trigger there is one here.

CREATE TABLE org (
	id           TEXT COLLATE "C" PRIMARY KEY,
	name         TEXT COLLATE "C" NOT NULL UNIQUE,
	created_at   BIGINT NOT NULL,
	weight       BIGINT NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
	files        BIGINT NOT NULL DEFAULT 0,
	bytes        BIGINT NOT NULL DEFAULT 0,
	uploads      BIGINT NOT NULL DEFAULT 0,
	suspended_at BIGINT,
	cancels      BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX org_suspended ON org (id) WHERE suspended_at IS NOT NULL;

CREATE TABLE org_limit (
	org   TEXT COLLATE "C" NOT NULL REFERENCES org (id),
	name  TEXT COLLATE "C" NOT NULL,
	value BIGINT NOT NULL CHECK (value >= 0),
	PRIMARY KEY (org, name)
);
CREATE INDEX org_limit_by_name ON org_limit (name, value);

CREATE TABLE org_day (
	day    BIGINT NOT NULL,
	org    TEXT COLLATE "C" NOT NULL REFERENCES org (id),
	tokens BIGINT NOT NULL,
	PRIMARY KEY (day, org)
);

CREATE TABLE api_key (
	id         TEXT COLLATE "C" PRIMARY KEY,
	org        TEXT COLLATE "C" NOT NULL REFERENCES org (id),
	hash       TEXT COLLATE "C" NOT NULL UNIQUE,
	hint       TEXT COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	revoked_at BIGINT,
	operator   BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX api_key_of_org ON api_key (org, revoked_at);
CREATE INDEX api_key_by_hint ON api_key (hint);

CREATE TABLE call (
	rowid           BIGINT GENERATED ALWAYS AS IDENTITY,
	api_key         TEXT COLLATE "C" NOT NULL,
	route           TEXT COLLATE "C" NOT NULL,
	idempotency_key TEXT COLLATE "C",
	fingerprint     TEXT COLLATE "C" NOT NULL,
	answer          TEXT COLLATE "C" NOT NULL,
	created_at      BIGINT NOT NULL
);
CREATE INDEX call_by_key ON call (api_key, route, idempotency_key, created_at)
	WHERE idempotency_key IS NOT NULL;
CREATE INDEX call_by_content ON call (api_key, route, fingerprint, created_at)
	WHERE idempotency_key IS NULL;
CREATE INDEX call_by_time ON call (created_at);

CREATE TABLE file (
	id         TEXT COLLATE "C" PRIMARY KEY,
	org        TEXT COLLATE "C" NOT NULL REFERENCES org (id),
	purpose    TEXT COLLATE "C" NOT NULL,
	bytes      BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT,
	deleted_at BIGINT,
	blob_gone  BOOLEAN NOT NULL DEFAULT FALSE,
	sha256     TEXT COLLATE "C" NOT NULL,
	filename   TEXT COLLATE "C" NOT NULL,
	sequence   BIGINT NOT NULL UNIQUE,
	lines      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX file_page ON file (org, sequence) WHERE deleted_at IS NULL;
CREATE INDEX file_page_of_purpose ON file (org, purpose, sequence) WHERE deleted_at IS NULL;
CREATE INDEX file_by_expiry ON file (expires_at) WHERE deleted_at IS NULL;
CREATE INDEX file_tombstone ON file (deleted_at) WHERE blob_gone;
CREATE INDEX file_spare ON file (deleted_at, id) WHERE deleted_at IS NOT NULL AND NOT blob_gone;

CREATE FUNCTION file_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE org SET files = files + 1, bytes = bytes + new.bytes WHERE id = new.org;
	RETURN NULL;
END $$;
CREATE TRIGGER file_made AFTER INSERT ON file FOR EACH ROW
	WHEN (new.purpose = 'batch' AND new.deleted_at IS NULL)
	EXECUTE FUNCTION file_made();
CREATE FUNCTION file_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE org SET files = files - 1, bytes = bytes - new.bytes WHERE id = new.org;
	RETURN NULL;
END $$;
CREATE TRIGGER file_gone AFTER UPDATE OF deleted_at ON file FOR EACH ROW
	WHEN (new.purpose = 'batch' AND old.deleted_at IS NULL AND new.deleted_at IS NOT NULL)
	EXECUTE FUNCTION file_gone();

CREATE TABLE batch (
	id                     TEXT COLLATE "C" PRIMARY KEY,
	org                    TEXT COLLATE "C" NOT NULL REFERENCES org (id),
	endpoint               TEXT COLLATE "C" NOT NULL,
	input_file_id          TEXT COLLATE "C" NOT NULL,
	input_missing          BOOLEAN NOT NULL,
	completion_window      TEXT COLLATE "C" NOT NULL,
	output_expires_after_s BIGINT NOT NULL,
	metadata               TEXT COLLATE "C",
	created_at             BIGINT NOT NULL,
	expires_at             BIGINT NOT NULL,
	status                 INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 7),
	final                  BOOLEAN NOT NULL GENERATED ALWAYS AS (status >= 4) STORED,
	in_progress_at         BIGINT,
	finalizing_at          BIGINT,
	cancelling_at          BIGINT,
	completed_at           BIGINT,
	failed_at              BIGINT,
	expired_at             BIGINT,
	cancelled_at           BIGINT,
	total                  BIGINT NOT NULL DEFAULT 0,
	tokens                 BIGINT NOT NULL DEFAULT 0,
	model                  TEXT COLLATE "C",
	errors                 TEXT COLLATE "C",
	output_file_id         TEXT COLLATE "C",
	error_file_id          TEXT COLLATE "C",
	sequence               BIGINT NOT NULL UNIQUE,
	skip_invalid           BOOLEAN NOT NULL DEFAULT FALSE,
	mixed_models           BOOLEAN NOT NULL DEFAULT FALSE,
	by_completion          BOOLEAN NOT NULL DEFAULT FALSE,
	max_attempts           BIGINT NOT NULL DEFAULT 0,
	line_timeout_s         BIGINT NOT NULL DEFAULT 0,
	canary                 BIGINT NOT NULL DEFAULT 0,
	not_before             BIGINT NOT NULL DEFAULT 0,
	hours                  TEXT COLLATE "C" NOT NULL DEFAULT '',
	token_budget           BIGINT NOT NULL DEFAULT 0,
	override               TEXT COLLATE "C",
	retried_from           TEXT COLLATE "C",
	hold                   INTEGER NOT NULL DEFAULT 0,
	held_at                BIGINT,
	canary_over            BOOLEAN NOT NULL DEFAULT FALSE,
	run                    BIGINT NOT NULL DEFAULT 0,
	changed                BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX batch_page ON batch (org, sequence);
CREATE INDEX batch_open ON batch (expires_at, id) WHERE NOT final;
CREATE INDEX batch_open_of_model ON batch (org, model) WHERE NOT final;
CREATE INDEX batch_open_of_org ON batch (org, sequence) WHERE NOT final;
CREATE INDEX batch_open_by_input ON batch (input_file_id) WHERE NOT final;
CREATE INDEX batch_open_by_output ON batch (output_file_id) WHERE NOT final;
CREATE INDEX batch_open_by_error ON batch (error_file_id) WHERE NOT final;
CREATE INDEX batch_by_time ON batch (org, run, created_at, sequence);
CREATE UNIQUE INDEX batch_changed ON batch (org, changed);
CREATE INDEX batch_changed_open ON batch (org, changed) WHERE NOT final;

CREATE TABLE batch_trace (
	batch       TEXT COLLATE "C" PRIMARY KEY REFERENCES batch (id),
	traceparent TEXT COLLATE "C" NOT NULL
);

CREATE TABLE progress (
	batch            TEXT COLLATE "C" PRIMARY KEY REFERENCES batch (id),
	segments         BIGINT NOT NULL DEFAULT 0,
	output_bytes     BIGINT NOT NULL DEFAULT 0,
	error_bytes      BIGINT NOT NULL DEFAULT 0,
	output_lines     BIGINT NOT NULL DEFAULT 0,
	error_lines      BIGINT NOT NULL DEFAULT 0,
	journal_from     BIGINT NOT NULL DEFAULT 0,
	completed        BIGINT NOT NULL DEFAULT 0,
	failed           BIGINT NOT NULL DEFAULT 0,
	expired          BIGINT NOT NULL DEFAULT 0,
	cancelled        BIGINT NOT NULL DEFAULT 0,
	retried          BIGINT NOT NULL DEFAULT 0,
	input_tokens     BIGINT NOT NULL DEFAULT 0,
	cached_tokens    BIGINT NOT NULL DEFAULT 0,
	output_tokens    BIGINT NOT NULL DEFAULT 0,
	reasoning_tokens BIGINT NOT NULL DEFAULT 0,
	total_tokens     BIGINT NOT NULL DEFAULT 0,
	causes           TEXT COLLATE "C" NOT NULL DEFAULT '',
	counted_tokens   BIGINT NOT NULL DEFAULT 0
);

CREATE VIEW batch_whole AS
SELECT id, org, endpoint, input_file_id, input_missing, completion_window, status,
	created_at, expires_at, in_progress_at, finalizing_at, cancelling_at, completed_at, failed_at,
	expired_at, cancelled_at,
	output_expires_after_s,
	skip_invalid, mixed_models, by_completion, max_attempts, line_timeout_s, canary, not_before,
	hours, token_budget, retried_from,
	total, completed, failed, expired, cancelled, retried,
	input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens,
	output_file_id, error_file_id, model, metadata, errors, causes, override,
	hold, held_at, canary_over, changed
FROM batch JOIN progress ON progress.batch = batch.id;

CREATE TABLE status_block (
	org    TEXT COLLATE "C" NOT NULL REFERENCES org (id),
	status INTEGER NOT NULL,
	block  BIGINT NOT NULL,
	bits   BIGINT NOT NULL,
	PRIMARY KEY (org, status, block)
);
CREATE TABLE label (
	id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	org   TEXT COLLATE "C" NOT NULL REFERENCES org (id),
	key   TEXT COLLATE "C" NOT NULL,
	value TEXT COLLATE "C" NOT NULL,
	UNIQUE (org, key, value)
);
CREATE TABLE label_block (
	label BIGINT NOT NULL REFERENCES label (id),
	block BIGINT NOT NULL,
	bits  BIGINT NOT NULL,
	PRIMARY KEY (label, block)
);

CREATE FUNCTION status_bit_put(b batch) RETURNS void LANGUAGE sql AS $$
	INSERT INTO status_block
	VALUES (b.org, b.status, b.sequence >> 6, 1::bigint << (b.sequence & 63)::integer)
	ON CONFLICT (org, status, block) DO UPDATE SET bits = status_block.bits | excluded.bits
$$;
CREATE FUNCTION batch_has_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM status_bit_put(new);
	RETURN NULL;
END $$;
CREATE TRIGGER batch_has_status AFTER INSERT ON batch FOR EACH ROW
	EXECUTE FUNCTION batch_has_status();
CREATE FUNCTION batch_changes_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE status_block SET bits = bits & ~(1::bigint << (old.sequence & 63)::integer)
	WHERE org = old.org AND status = old.status AND block = old.sequence >> 6;
	DELETE FROM status_block
	WHERE org = old.org AND status = old.status AND block = old.sequence >> 6 AND bits = 0;
	PERFORM status_bit_put(new);
	RETURN NULL;
END $$;
CREATE TRIGGER batch_changes_status AFTER UPDATE OF status ON batch FOR EACH ROW
	WHEN (new.status <> old.status) EXECUTE FUNCTION batch_changes_status();

-- A text with U+0000 is none that PostgreSQL can hold: such metadata has no labels, and is no less a
-- batch's.
CREATE FUNCTION batch_has_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	WITH pair AS (
		SELECT DISTINCT ON (key) key, value
		FROM json_each_text(new.metadata::json) WITH ORDINALITY AS each (key, value, n)
		WHERE value IS NOT NULL
		ORDER BY key, n DESC
	), made AS (
		INSERT INTO label (org, key, value) SELECT new.org, key, value FROM pair
		ON CONFLICT (org, key, value) DO UPDATE SET value = excluded.value
		RETURNING id
	)
	INSERT INTO label_block
	SELECT id, new.sequence >> 6, 1::bigint << (new.sequence & 63)::integer FROM made
	ON CONFLICT (label, block) DO UPDATE SET bits = label_block.bits | excluded.bits;
	RETURN NULL;
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END $$;
CREATE TRIGGER batch_has_labels AFTER INSERT ON batch FOR EACH ROW
	WHEN (new.metadata IS NOT NULL) EXECUTE FUNCTION batch_has_labels();

CREATE TABLE webhook_endpoint (
	sequence    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id          TEXT COLLATE "C" NOT NULL UNIQUE,
	org         TEXT COLLATE "C" REFERENCES org (id),
	configured  BOOLEAN NOT NULL DEFAULT FALSE,
	name        TEXT COLLATE "C" NOT NULL,
	url         TEXT COLLATE "C" NOT NULL,
	event_types BIGINT NOT NULL,
	secret      TEXT COLLATE "C" NOT NULL,
	old_secret  TEXT COLLATE "C",
	old_until   BIGINT,
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL,
	failing     BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX webhook_endpoint_page ON webhook_endpoint (org, configured, sequence);
CREATE INDEX webhook_endpoint_configured ON webhook_endpoint (id) WHERE configured;

CREATE TABLE webhook_delivery (
	sequence        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id              TEXT COLLATE "C" NOT NULL UNIQUE,
	endpoint        TEXT COLLATE "C" NOT NULL REFERENCES webhook_endpoint (id),
	event           TEXT COLLATE "C" NOT NULL,
	type            INTEGER NOT NULL,
	batch           TEXT COLLATE "C" NOT NULL,
	at              BIGINT NOT NULL,
	began_at        BIGINT NOT NULL,
	attempts        BIGINT NOT NULL DEFAULT 0,
	attempts_before BIGINT NOT NULL DEFAULT 0,
	status          INTEGER,
	latency_ms      BIGINT,
	error           TEXT COLLATE "C",
	next_at         BIGINT
);
CREATE INDEX webhook_delivery_page ON webhook_delivery (endpoint, sequence);
CREATE INDEX webhook_delivery_due ON webhook_delivery (endpoint, next_at, sequence)
	WHERE next_at IS NOT NULL;
CREATE INDEX webhook_delivery_over ON webhook_delivery (endpoint, sequence) WHERE next_at IS NULL;
CREATE INDEX webhook_delivery_pending ON webhook_delivery (at) WHERE next_at IS NOT NULL;

CREATE TABLE upload (
	id              TEXT COLLATE "C" PRIMARY KEY,
	org             TEXT COLLATE "C" NOT NULL REFERENCES org (id),
	bytes           BIGINT NOT NULL,
	filename        TEXT COLLATE "C" NOT NULL,
	expires_after_s BIGINT NOT NULL,
	created_at      BIGINT NOT NULL,
	expires_at      BIGINT NOT NULL,
	status          INTEGER NOT NULL DEFAULT 0,
	ended_at        BIGINT,
	blob            TEXT COLLATE "C" NOT NULL,
	blob_bytes      BIGINT NOT NULL DEFAULT 0,
	received        BIGINT NOT NULL DEFAULT 0,
	parts           BIGINT NOT NULL DEFAULT 0,
	file            TEXT COLLATE "C",
	part_list       TEXT COLLATE "C"
);
CREATE INDEX upload_by_expiry ON upload (expires_at) WHERE status = 0;
CREATE INDEX upload_by_end ON upload (ended_at) WHERE status <> 0;
CREATE INDEX upload_by_blob ON upload (blob) WHERE status = 0;

CREATE TABLE upload_part (
	id     TEXT COLLATE "C" PRIMARY KEY,
	upload TEXT COLLATE "C" NOT NULL REFERENCES upload (id),
	blob   TEXT COLLATE "C" NOT NULL,
	at     BIGINT NOT NULL,
	bytes  BIGINT NOT NULL
);
CREATE INDEX upload_part_of ON upload_part (upload, blob);

CREATE TABLE spare_blob (
	id TEXT COLLATE "C" PRIMARY KEY
);

CREATE FUNCTION upload_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE org SET files = files + 1, bytes = bytes + new.bytes, uploads = uploads + 1
	WHERE id = new.org;
	RETURN NULL;
END $$;
CREATE TRIGGER upload_made AFTER INSERT ON upload FOR EACH ROW EXECUTE FUNCTION upload_made();
CREATE FUNCTION upload_grew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE org
	SET bytes = bytes + greatest(new.bytes, new.received) - greatest(old.bytes, old.received)
	WHERE id = new.org;
	RETURN NULL;
END $$;
CREATE TRIGGER upload_grew AFTER UPDATE OF received ON upload FOR EACH ROW
	WHEN (greatest(new.bytes, new.received) <> greatest(old.bytes, old.received))
	EXECUTE FUNCTION upload_grew();
CREATE FUNCTION upload_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE org SET files = files - 1, bytes = bytes - greatest(old.bytes, old.received),
		uploads = uploads - 1
	WHERE id = new.org;
	INSERT INTO spare_blob
		SELECT blob FROM upload_part
		WHERE upload = new.id AND blob IS DISTINCT FROM new.file
		UNION SELECT new.blob WHERE new.blob IS DISTINCT FROM new.file;
	DELETE FROM upload_part WHERE upload = new.id;
	RETURN NULL;
END $$;
CREATE TRIGGER upload_ended AFTER UPDATE OF status ON upload FOR EACH ROW
	WHEN (old.status = 0 AND new.status <> 0) EXECUTE FUNCTION upload_ended();

CREATE TABLE directory (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	id      TEXT COLLATE "C" NOT NULL,
	turns   BIGINT NOT NULL,
	seen_at BIGINT NOT NULL
);

-- What is known of a key (key_find.sql) has changed: whoever keeps some in memory forgets them.
CREATE FUNCTION keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NOTIFY lowtide_keys;
	RETURN NULL;
END $$;
CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON api_key
	FOR EACH STATEMENT EXECUTE FUNCTION keys_changed();
CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON org_limit
	FOR EACH STATEMENT EXECUTE FUNCTION keys_changed();
CREATE TRIGGER keys_changed AFTER UPDATE OF name, suspended_at ON org
	FOR EACH STATEMENT EXECUTE FUNCTION keys_changed();
