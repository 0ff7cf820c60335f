-- What is to be sent to endpoint ?1 is due at ?2. Index: webhook_delivery_due.
UPDATE webhook_delivery SET next_at = ?2 WHERE endpoint = ?1 AND next_at > ?2
