-- Adds the key ?1 of organization ?2 with hash ?3 and hint ?4 at ?5 (?6: of the operator), if the hash is new.
INSERT INTO api_key (id, org, hash, hint, created_at, operator) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (hash) DO NOTHING
