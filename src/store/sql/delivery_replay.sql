-- Delivery ?1 of endpoint ?2 is sent again, from ?3 on as if it were new. Index: id.
UPDATE webhook_delivery SET next_at = ?3, began_at = ?3, attempts_before = attempts
WHERE id = ?1 AND endpoint = ?2
