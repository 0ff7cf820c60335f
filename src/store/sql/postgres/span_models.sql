-- The models of batches in progress, each once, but for names of more than 256 bytes; '' where one has
-- several. Index: batch_runs.
SELECT DISTINCT coalesce(model, '') FROM batch
WHERE status = 1 AND (model IS NULL OR octet_length(model) <= 256)
