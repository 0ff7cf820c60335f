-- Suspends the organization of name ?1 at ?2 (NULL: no longer), and has its open batches cancelled if
-- ?3. What is suspended keeps the time of the first call. Index: org.name (unique).
UPDATE org SET
	suspended_at = CASE WHEN CAST(?2 AS BIGINT) IS NOT NULL THEN coalesce(suspended_at, ?2) END,
	cancels = CASE WHEN ?2 IS NULL THEN FALSE ELSE cancels OR ?3 END
WHERE name = ?1
