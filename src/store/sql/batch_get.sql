-- Batch ?1 of organization ?2 (NULL: of any). Index: primary keys.
SELECT * FROM batch_whole WHERE id = ?1 AND (org = ?2 OR ?2 IS NULL)
