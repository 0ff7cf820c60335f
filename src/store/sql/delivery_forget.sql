-- Index: webhook_delivery_page.
DELETE FROM webhook_delivery WHERE endpoint = ?1
