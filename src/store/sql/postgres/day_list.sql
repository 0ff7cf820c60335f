-- As sql/day_list.sql; and what nodes settled, in rows of their own. Index: primary keys,
-- org_limit_by_name.
SELECT org, tokens, -1 FROM org_day WHERE day = $1
UNION ALL
SELECT org, sum(tokens)::bigint, -1 FROM org_day_settled WHERE day = $1 GROUP BY org
UNION ALL
SELECT org, 0, value FROM org_limit WHERE name = $2
