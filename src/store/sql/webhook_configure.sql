-- Makes or changes the configuration's endpoint ?1; ?2: its organization, NULL: all.
-- Indexes: id; webhook_delivery_page, in which a new id is looked up.
INSERT INTO webhook_endpoint
	(id, org, configured, name, url, event_types, secret, created_at, updated_at)
VALUES (?1, ?2, TRUE, ?3, ?4, ?5, '', ?6, ?6)
ON CONFLICT (id) DO UPDATE SET
	org = excluded.org, name = excluded.name, url = excluded.url,
	event_types = excluded.event_types, updated_at = excluded.updated_at
