-- The number of batch ?1 of organization ?2 in the order of making. Index: primary key.
SELECT sequence FROM batch WHERE id = ?1 AND org = ?2
