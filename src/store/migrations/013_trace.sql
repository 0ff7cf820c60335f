-- The trace that a batch was made in, where its maker said so: the header traceparent of its create.
CREATE TABLE batch_trace (
	batch       TEXT NOT NULL PRIMARY KEY REFERENCES batch (id),
	traceparent TEXT NOT NULL
) STRICT, WITHOUT ROWID;
