-- The clock has moved by ?1 s; ?2: no attempt is later. Index: webhook_delivery_due.
UPDATE webhook_delivery SET next_at = CASE WHEN next_at + ?1 < ?2 THEN next_at + ?1 ELSE ?2 END, began_at = began_at + ?1
WHERE next_at IS NOT NULL
