-- Many machines (cluster/protocol.h): what nodes own, and what they have acknowledged. Times are
-- the database's own; no node's clock stands in a row.

-- A row for each start of the program. None is ever deleted: of an owner without a row nobody could
-- say that its epoch is over (span_claim.sql). The second key has the epoch, so that a lock FOR KEY
-- SHARE waits for a burial, which changes it, and for no renewal, which does not.
CREATE TABLE nodes (
	id          BIGINT PRIMARY KEY CHECK (id > 0),
	epoch       BIGINT NOT NULL,
	lease_until TIMESTAMPTZ NOT NULL, -- -infinity: buried, or has left
	held_since  TIMESTAMPTZ NOT NULL,
	ticket      BIGINT NOT NULL DEFAULT 0,
	floor       BIGINT NOT NULL DEFAULT 0,
	draining    BOOLEAN NOT NULL DEFAULT FALSE,
	address     TEXT COLLATE "C" NOT NULL,
	version     TEXT COLLATE "C" NOT NULL,
	config      TEXT COLLATE "C" NOT NULL,
	UNIQUE (id, epoch)
) WITH (fillfactor = 50);

CREATE TABLE upstream_leases (
	upstream   TEXT COLLATE "C" PRIMARY KEY,
	node       BIGINT, -- NULL: free
	node_epoch BIGINT NOT NULL DEFAULT 0,
	epoch      BIGINT NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX upstream_leases_of_node ON upstream_leases (node);

-- What each settlement changes is in no index, and there is room on the page: an update stays on
-- it.
CREATE TABLE spans (
	batch            TEXT COLLATE "C" NOT NULL REFERENCES batch (id),
	n                INTEGER NOT NULL,
	first_segment    BIGINT NOT NULL,
	segments         BIGINT NOT NULL,
	lines            BIGINT NOT NULL,
	finished         BOOLEAN NOT NULL DEFAULT FALSE,
	node             BIGINT, -- NULL: free
	node_epoch       BIGINT NOT NULL DEFAULT 0,
	epoch            BIGINT NOT NULL DEFAULT 0,
	ticket           BIGINT NOT NULL DEFAULT 0, -- of its owner's claim
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
	causes           TEXT COLLATE "C" NOT NULL DEFAULT '', -- from here on: once finished
	output_part      TEXT COLLATE "C",
	output_bytes     BIGINT NOT NULL DEFAULT 0,
	output_lines     BIGINT NOT NULL DEFAULT 0,
	error_part       TEXT COLLATE "C",
	error_bytes      BIGINT NOT NULL DEFAULT 0,
	error_lines      BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (batch, n)
) WITH (fillfactor = 50);
CREATE INDEX spans_open ON spans (batch, n) WHERE NOT finished;
CREATE INDEX spans_owned ON spans (node, node_epoch, ticket) WHERE NOT finished AND node IS NOT NULL;
CREATE INDEX spans_output_part ON spans (output_part) WHERE output_part IS NOT NULL;
CREATE INDEX spans_error_part ON spans (error_part) WHERE error_part IS NOT NULL;

-- No reference to spans: the one statement that adds a row has locked the span's
-- (pieces_settle.sql), and a check for each row would look for it again.
CREATE TABLE journal_pieces (
	batch            TEXT COLLATE "C" NOT NULL,
	span             INTEGER NOT NULL,
	chunk            TEXT COLLATE "C" NOT NULL, -- the object's name
	at               BIGINT NOT NULL,
	length           BIGINT NOT NULL,
	-- what it adds to its span's counts
	completed        BIGINT NOT NULL DEFAULT 0,
	failed           BIGINT NOT NULL DEFAULT 0,
	retried          BIGINT NOT NULL DEFAULT 0,
	input_tokens     BIGINT NOT NULL DEFAULT 0,
	cached_tokens    BIGINT NOT NULL DEFAULT 0,
	output_tokens    BIGINT NOT NULL DEFAULT 0,
	reasoning_tokens BIGINT NOT NULL DEFAULT 0,
	total_tokens     BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (batch, span, chunk)
);
CREATE INDEX journal_pieces_of_chunk ON journal_pieces (chunk);

CREATE TABLE garbage (
	name TEXT COLLATE "C" PRIMARY KEY,
	seen TIMESTAMPTZ NOT NULL
);
CREATE INDEX garbage_by_age ON garbage (seen);

-- For the order of claims (span_claim.sql): batches that have ended, that are late, and those of an
-- organization by deadline.
CREATE INDEX batch_to_end ON batch (id) WHERE status = 3;
CREATE INDEX batch_late ON batch ((expires_at - (expires_at - created_at) / 4), expires_at)
	WHERE status = 1;
CREATE INDEX batch_runs ON batch (org, expires_at, id) WHERE status = 1;

-- A batch is new, or has moved, or is held: nodes look for work, or drop some.
CREATE FUNCTION batches_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NOTIFY lowtide_batches;
	RETURN NULL;
END $$;
CREATE TRIGGER batches_changed AFTER INSERT OR UPDATE OF status, hold ON batch
	FOR EACH STATEMENT EXECUTE FUNCTION batches_changed();
