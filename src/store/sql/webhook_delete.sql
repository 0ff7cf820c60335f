-- Deletes endpoint ?1, whose deliveries are gone; that none is left is looked up.
-- Index: id; webhook_delivery_page.
DELETE FROM webhook_endpoint WHERE id = ?1
