-- Of each batch of the array $1 that is there, its place there from 1, its status and its hold. Index:
-- primary key.
SELECT a.i, b.status, b.hold
FROM unnest($1::text[]) WITH ORDINALITY AS a (batch, i) JOIN batch AS b ON b.id = a.batch
