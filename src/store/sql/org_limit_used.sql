-- Whether any organization has a limit ?1 of its own. Index: org_limit_by_name.
SELECT EXISTS (SELECT 1 FROM org_limit WHERE name = ?1 AND value > 0)
