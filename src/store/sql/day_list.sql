-- What each organization took on day ?1; and who has a limit ?2 of its own, in rows of their own (-1: no
-- limit). Index: org_day's primary key, org_limit_by_name.
SELECT org, tokens, -1 FROM org_day WHERE day = ?1
UNION ALL
SELECT org, 0, value FROM org_limit WHERE name = ?2
