-- Endpoints that something is to be sent to: from one to the next in the index
-- webhook_delivery_due, however much stands in it.
WITH RECURSIVE pending (id) AS (
	SELECT min(endpoint) FROM webhook_delivery WHERE next_at IS NOT NULL
	UNION ALL
	SELECT (SELECT min(endpoint) FROM webhook_delivery
		WHERE next_at IS NOT NULL AND endpoint > pending.id)
	FROM pending WHERE pending.id IS NOT NULL
)
SELECT id FROM pending WHERE id IS NOT NULL
