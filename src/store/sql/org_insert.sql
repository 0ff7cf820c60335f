-- Adds the organization ?1 of name ?2 at ?3, if there is none of that name.
INSERT INTO org (id, name, created_at) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO NOTHING
