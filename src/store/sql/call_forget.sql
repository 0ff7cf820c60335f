-- Forgets calls made at ?1 or before. Index: call_by_time.
DELETE FROM call WHERE created_at <= ?1
