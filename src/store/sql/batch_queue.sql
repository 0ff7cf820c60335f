-- The batches with lines to send, by organization and then in the order of making: organization, batch,
-- lines to do, their part of the estimated tokens. Index: batch_open_of_org, progress' primary key.
SELECT org, id, todo, CAST(1.0 * tokens * todo / total AS BIGINT)
FROM (
	SELECT org, id, tokens, total, total - completed - failed - expired - cancelled AS todo
	FROM batch INDEXED BY batch_open_of_org CROSS JOIN progress ON progress.batch = batch.id
	WHERE NOT final AND status = 1 AND total > 0
	ORDER BY org, sequence
) AS open
