-- An organization's share of the work while others have some, too.
ALTER TABLE org ADD COLUMN weight INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000);
