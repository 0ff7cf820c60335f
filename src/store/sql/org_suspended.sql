-- The organizations that are suspended; of ?1 alone if it is not NULL. Index: org_suspended.
SELECT id FROM org WHERE suspended_at IS NOT NULL AND (?1 IS NULL OR id = ?1) ORDER BY id
