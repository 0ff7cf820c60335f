-- Endpoints that are told of batch ?1 when its status is in the mask ?2.
-- Index: webhook_endpoint_page.
SELECT e.id FROM batch AS b JOIN webhook_endpoint AS e ON e.org = b.org OR e.org IS NULL
WHERE b.id = ?1 AND e.event_types & ?2 <> 0
