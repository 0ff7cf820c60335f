-- Index: id.
SELECT sequence FROM webhook_delivery WHERE id = ?1 AND endpoint = ?2
