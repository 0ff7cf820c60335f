-- When the oldest event that is to be sent came to be. Index: webhook_delivery_pending.
SELECT min(at) FROM webhook_delivery WHERE next_at IS NOT NULL
