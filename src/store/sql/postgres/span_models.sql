-- The models of batches in progress, each once; '' where one has several. Index: batch_runs.
SELECT DISTINCT coalesce(model, '') FROM batch
WHERE status = 1 AND (model IS NULL OR length(model) < 256)
