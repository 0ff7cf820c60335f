-- Gives endpoint ?1 of organization ?2 the secret ?3 at ?5; the one before it signs as well until ?4
-- (NULL: no longer). Index: id.
UPDATE webhook_endpoint SET
	old_until = ?4, old_secret = CASE WHEN CAST(?4 AS BIGINT) IS NOT NULL THEN secret END, secret = ?3, updated_at = ?5
WHERE id = ?1 AND org = ?2 AND NOT configured
