-- The bucket no longer has these. Index: primary key.
DELETE FROM garbage WHERE name = ANY ($1::text[]) RETURNING 1
