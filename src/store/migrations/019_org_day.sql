-- The tokens, input and output, that an organization's answers took on a day (UTC, days since 1970;
-- contract 13.1), and how many of each open batch's are counted there, on whatever day.
CREATE TABLE org_day (
	day    INTEGER NOT NULL,
	org    TEXT NOT NULL REFERENCES org (id),
	tokens INTEGER NOT NULL,
	PRIMARY KEY (day, org)
) STRICT, WITHOUT ROWID;
ALTER TABLE progress ADD COLUMN counted_tokens INTEGER NOT NULL DEFAULT 0;
UPDATE progress SET counted_tokens = input_tokens + output_tokens;
