-- Adds a pending upload. Index: upload_part_of (for its key).
INSERT INTO upload (id, org, bytes, filename, expires_after_s, created_at, expires_at, blob)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
