-- Forgets uploads that ended at ?1 or before. Index: upload_by_end, upload_part_of (for its key).
DELETE FROM upload WHERE status <> 0 AND ended_at <= ?1
