-- Removes what endpoint ?1 was sent, but for its last ?2 deliveries. Indexes: webhook_delivery_over;
-- webhook_delivery_page for those.
DELETE FROM webhook_delivery
WHERE endpoint = ?1 AND next_at IS NULL AND sequence < (SELECT min(sequence) FROM (
	SELECT sequence FROM webhook_delivery WHERE endpoint = ?1 ORDER BY sequence DESC LIMIT ?2) AS last)
