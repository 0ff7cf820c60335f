-- How many keys go by the id or hint ?1, and how many of them are in force.
-- Index: primary key, api_key_by_hint.
SELECT count(*), count(*) FILTER (WHERE revoked_at IS NULL)
FROM api_key WHERE id = ?1 OR hint = ?1
