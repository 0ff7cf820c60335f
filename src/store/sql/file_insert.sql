-- Adds a file, as the newest. Index: file_sequence.
INSERT INTO file (id, org, purpose, bytes, created_at, expires_at, sha256, filename, lines, sequence)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
	(SELECT coalesce(max(sequence), 0) + 1 FROM file))
