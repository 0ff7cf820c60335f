-- Batch ?1 has done nothing yet.
INSERT INTO progress (batch) VALUES (?1)
