-- A new endpoint of organization ?2.
INSERT INTO webhook_endpoint (id, org, name, url, event_types, secret, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
