-- Why batch ?1 failed. Index: primary key.
UPDATE batch SET errors = ?2 WHERE id = ?1
