-- How many batches of organization ?1 are not final. Index: batch_open_of_model.
SELECT count(*) FROM batch WHERE org = ?1 AND NOT final
