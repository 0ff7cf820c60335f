-- Lines to do, and their part of the estimated tokens, in organization ?1's open batches of model
-- ?2, but for batch ?3 (may be NULL). Index: batch_open_of_model, progress' primary key.
SELECT coalesce(sum(todo), 0), CAST(coalesce(sum(1.0 * tokens * todo / total), 0) AS BIGINT)
FROM (
	SELECT tokens, total, total - completed - failed - expired - cancelled AS todo
	FROM batch JOIN progress ON progress.batch = batch.id
	WHERE org = ?1 AND model IS NOT DISTINCT FROM ?2 AND NOT final AND id IS DISTINCT FROM ?3 AND total > 0
) AS open
