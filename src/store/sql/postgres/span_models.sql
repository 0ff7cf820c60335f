-- The models of batches in progress, each once. Index: batch_runs.
SELECT DISTINCT model FROM batch WHERE status = 1 AND model IS NOT NULL AND length(model) < 256
