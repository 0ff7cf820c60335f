-- When the next file expires, 0: none will. Index: file_by_expiry.
SELECT coalesce(min(expires_at), 0) FROM file WHERE deleted_at IS NULL
