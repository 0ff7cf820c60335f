-- Suspends the organization of name ?1 at ?2 (NULL: no longer), and has its open batches cancelled if
-- ?3. What is suspended keeps the time of the first call. Index: org.name (unique).
UPDATE org SET
	suspended_at = iif(?2 IS NULL, NULL, coalesce(suspended_at, ?2)),
	cancels = iif(?2 IS NULL, 0, max(cancels, ?3))
WHERE name = ?1
