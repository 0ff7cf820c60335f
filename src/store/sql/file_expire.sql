-- Deletes what has expired at ?1. Index: file_by_expiry.
UPDATE file SET deleted_at = expires_at
WHERE deleted_at IS NULL AND expires_at <= ?1
