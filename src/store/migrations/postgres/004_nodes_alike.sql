-- What nodes tell one another of what they do at the moment, and the history that they keep together:
-- for what clients are shown; and what lines take of an organization's day. A node of an earlier version has
-- none of it.

-- The last report of each node. Not logged: after a crash of the database each says it anew.
CREATE UNLOGGED TABLE node_reports (
	node       BIGINT PRIMARY KEY,
	epoch      BIGINT NOT NULL,
	at         TIMESTAMPTZ NOT NULL,
	since      BIGINT NOT NULL, -- Unix s: when this start of the program began
	format     INTEGER NOT NULL, -- of the texts
	scheduling TEXT NOT NULL,
	batches    TEXT NOT NULL
) WITH (fillfactor = 50);

-- What ended at a node in 10 s (tick: Unix s / 10), of an organization, or ('') of all; no row: nothing.
CREATE TABLE history_ticks (
	org      TEXT COLLATE "C" NOT NULL,
	tick     BIGINT NOT NULL,
	node     BIGINT NOT NULL,
	lines    BIGINT NOT NULL,
	tokens   BIGINT NOT NULL,
	first_ms BIGINT NOT NULL,
	firsts   BIGINT NOT NULL,
	PRIMARY KEY (org, tick, node)
);
CREATE INDEX history_ticks_by_age ON history_ticks (tick);

-- How fast a batch went at a node, in steps since its first line ended there: lines of each, with commas.
CREATE UNLOGGED TABLE batch_paces (
	batch  TEXT COLLATE "C" NOT NULL,
	node   BIGINT NOT NULL,
	at     TIMESTAMPTZ NOT NULL,
	begun  BIGINT NOT NULL, -- Unix s
	step_s INTEGER NOT NULL,
	lines  TEXT NOT NULL,
	PRIMARY KEY (batch, node)
) WITH (fillfactor = 50);

-- The tokens that organizations took on a day by lines that nodes settled; org_day has all others. A row a
-- node, so that no settlement waits for another node's.
CREATE TABLE org_day_settled (
	day    BIGINT NOT NULL,
	org    TEXT COLLATE "C" NOT NULL REFERENCES org (id),
	node   BIGINT NOT NULL,
	tokens BIGINT NOT NULL,
	PRIMARY KEY (day, org, node)
) WITH (fillfactor = 50);

-- Of rows that `lowtide migrate` moved here: the bucket that files and work went to, '': none.
ALTER TABLE lowtide ADD COLUMN moved_to TEXT;

-- Of a finished span: how many of its batch were finished before it. By that its lines are numbered where
-- results are shown as they end. NULL: it is open, or a node of an earlier version finished it.
ALTER TABLE spans ADD COLUMN finished_after INTEGER;
