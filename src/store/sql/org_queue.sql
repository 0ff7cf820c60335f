-- How many open batches organization ?1 has, their lines to do, their part of the estimated tokens; and
-- its pending uploads. Index: batch_open_of_org, progress' and org's primary keys.
SELECT count(*), coalesce(sum(todo), 0),
	CAST(coalesce(sum(1.0 * tokens * todo / CASE WHEN total > 1 THEN total ELSE 1 END), 0) AS BIGINT),
	coalesce((SELECT uploads FROM org WHERE id = ?1), 0)
FROM (
	SELECT tokens, total, total - completed - failed - expired - cancelled AS todo
	FROM batch INDEXED BY batch_open_of_org CROSS JOIN progress ON progress.batch = batch.id
	WHERE org = ?1 AND NOT final
) AS open
