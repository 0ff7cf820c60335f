-- Drops the tombstones of files deleted at ?1 or before whose blob is gone. Index: file_tombstone.
DELETE FROM file WHERE blob_gone AND deleted_at <= ?1
