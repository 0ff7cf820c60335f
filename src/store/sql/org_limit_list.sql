-- The limits that organization ?1 has of its own. Index: org_limit's primary key.
SELECT name, value FROM org_limit WHERE org = ?1
