-- Adds a part. Index: none.
INSERT INTO upload_part (id, upload, blob, at, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
