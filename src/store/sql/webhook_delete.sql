-- Index: id.
DELETE FROM webhook_endpoint WHERE id = ?1
