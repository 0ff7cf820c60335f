-- Webhooks (contract 12): where events are sent, and the outbox: what is to be sent, and what was.

-- An endpoint is an organization's own; or the configuration's: then its secret and, NULL: of all, its
-- organization are looked up there, too. secret: "whsec_…", in the clear, because each attempt is
-- signed with it.
CREATE TABLE webhook_endpoint (
	sequence    INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of making
	id          TEXT NOT NULL UNIQUE,
	org         TEXT REFERENCES org (id),
	configured  INTEGER NOT NULL DEFAULT 0 CHECK (configured IN (0, 1)),
	name        TEXT NOT NULL,
	url         TEXT NOT NULL,
	event_types INTEGER NOT NULL, -- mask: 1 << status of the batch
	secret      TEXT NOT NULL,
	old_secret  TEXT,             -- signs as well until old_until
	old_until   INTEGER,
	created_at  INTEGER NOT NULL,
	updated_at  INTEGER NOT NULL,
	failing     INTEGER NOT NULL DEFAULT 0 CHECK (failing IN (0, 1)) -- the last attempt failed
) STRICT;
CREATE INDEX webhook_endpoint_page ON webhook_endpoint (org, configured, sequence);

-- An event for one endpoint. A row is made in the transaction of the batch's final state. next_at:
-- when it is to be sent; NULL: it was taken, or given up.
CREATE TABLE webhook_delivery (
	sequence   INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of making
	id         TEXT NOT NULL UNIQUE,
	endpoint   TEXT NOT NULL REFERENCES webhook_endpoint (id),
	event      TEXT NOT NULL,
	type       INTEGER NOT NULL, -- status of the batch
	batch      TEXT NOT NULL,
	at         INTEGER NOT NULL, -- of the event
	began_at   INTEGER NOT NULL, -- of the 72 hours: at, or the last replay
	attempts   INTEGER NOT NULL DEFAULT 0,
	attempts_before INTEGER NOT NULL DEFAULT 0, -- began_at
	status     INTEGER,          -- of the last answer; NULL: none came
	latency_ms INTEGER,          -- of the last attempt
	error      TEXT,             -- why the last attempt failed, in words
	next_at    INTEGER
) STRICT;
CREATE INDEX webhook_delivery_page ON webhook_delivery (endpoint, sequence);
CREATE INDEX webhook_delivery_due ON webhook_delivery (endpoint, next_at, sequence)
	WHERE next_at IS NOT NULL;
CREATE INDEX webhook_delivery_over ON webhook_delivery (endpoint, sequence) WHERE next_at IS NULL;
CREATE INDEX webhook_delivery_pending ON webhook_delivery (at) WHERE next_at IS NOT NULL;
