-- Batches all of whose spans are finished, and that are not final. Index: primary keys.
SELECT b.id FROM whole_batches AS w JOIN batch AS b ON b.id = w.batch
WHERE NOT b.final
ORDER BY b.expires_at, b.id LIMIT $1
