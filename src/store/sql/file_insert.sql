-- Adds a file.
INSERT INTO file (id, org, purpose, bytes, created_at, expires_at, sha256, filename)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
