-- Before the spans of batch $1 are made: of two who make them, one. Index: primary key.
SELECT 1 FROM batch WHERE id = $1 FOR NO KEY UPDATE
