-- The organization of name ?1 has no limit ?2 of its own any more. Index: primary key, org.name
-- (unique).
DELETE FROM org_limit WHERE org = (SELECT id FROM org WHERE name = ?1) AND name = ?2
