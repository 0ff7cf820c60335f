-- Counts a part of ?2 bytes of upload ?1, ?3 of them in its own blob. Index: primary key.
UPDATE upload SET received = received + ?2, blob_bytes = blob_bytes + ?3, parts = parts + 1
WHERE id = ?1
