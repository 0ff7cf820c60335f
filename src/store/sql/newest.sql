-- The latest time of what has happened; at start only, so it may scan.
SELECT coalesce(max(at), 0) FROM (
	SELECT max(seen_at) AS at FROM directory
	UNION ALL SELECT max(created_at) FROM org
	UNION ALL SELECT max(created_at) FROM api_key
	UNION ALL SELECT max(created_at) FROM call
	UNION ALL SELECT max(created_at) FROM file
	UNION ALL SELECT max(deleted_at) FROM file
	UNION ALL SELECT max(coalesce(ended_at, created_at)) FROM upload
	UNION ALL SELECT max(coalesce(completed_at, failed_at, expired_at, cancelled_at,
		in_progress_at, created_at)) FROM batch
) AS times
