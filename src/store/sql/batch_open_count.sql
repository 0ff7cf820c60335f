-- How many batches of organization ?1 are not final. Index: batch_open_of_model.
SELECT count(*) FROM batch INDEXED BY batch_open_of_model WHERE org = ?1 AND NOT final
