-- Ends what has expired at ?1. Index: upload_by_expiry.
UPDATE upload SET status = 3, ended_at = expires_at
WHERE status = 0 AND expires_at <= ?1
