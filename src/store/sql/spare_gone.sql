-- The blob ?1 of no file is gone. Index: primary key.
DELETE FROM spare_blob WHERE id = ?1
