-- When batch ?1 of organization ?2 was made. Index: primary key.
SELECT created_at FROM batch WHERE id = ?1 AND org = ?2
