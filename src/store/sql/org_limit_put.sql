-- Gives the organization of name ?1 the limit ?2, of ?3. Index: org.name (unique).
INSERT INTO org_limit (org, name, value) SELECT id, ?2, ?3 FROM org WHERE name = ?1
ON CONFLICT (org, name) DO UPDATE SET value = excluded.value
