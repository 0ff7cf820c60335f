-- The latest time of what has happened; at start only, so it may scan.
SELECT max(
	(SELECT coalesce(max(seen_at), 0) FROM directory),
	(SELECT coalesce(max(created_at), 0) FROM org),
	(SELECT coalesce(max(created_at), 0) FROM api_key),
	(SELECT coalesce(max(created_at), 0) FROM call),
	(SELECT coalesce(max(max(created_at, coalesce(deleted_at, 0))), 0) FROM file),
	(SELECT coalesce(max(coalesce(ended_at, created_at)), 0) FROM upload),
	(SELECT coalesce(max(coalesce(completed_at, failed_at, expired_at, cancelled_at,
		in_progress_at, created_at)), 0) FROM batch))
