-- The organizations that are suspended; of ?1 alone if it is not NULL. Index: org_suspended.
SELECT id FROM org WHERE suspended_at IS NOT NULL AND (id = ?1 OR ?1 IS NULL) ORDER BY id
