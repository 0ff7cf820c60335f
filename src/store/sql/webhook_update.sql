-- Gives endpoint ?1 of organization ?2 another name ?3, URL ?4, event types ?5, where they are not
-- NULL; ?6 is now, and stays away where nothing changes. Index: id.
UPDATE webhook_endpoint SET
	name = coalesce(?3, name), url = coalesce(?4, url), event_types = coalesce(?5, event_types),
	updated_at = CASE WHEN name = coalesce(?3, name) AND url = coalesce(?4, url)
		AND event_types = coalesce(?5, event_types) THEN updated_at ELSE ?6 END
WHERE id = ?1 AND org = ?2 AND NOT configured
