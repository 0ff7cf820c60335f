-- The directory's id and turns. One row.
SELECT id, turns FROM directory
