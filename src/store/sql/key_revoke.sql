-- Revokes at ?2 what goes by the id or hint ?1 and is in force. Index: primary key,
-- api_key_by_hint.
UPDATE api_key SET revoked_at = ?2
WHERE (id = ?1 OR hint = ?1) AND revoked_at IS NULL
