-- As sql/day_get.sql; and what nodes settled. Index: primary keys.
SELECT coalesce((SELECT tokens FROM org_day WHERE org = $1 AND day = $2), 0)
	+ coalesce((SELECT sum(tokens)::bigint FROM org_day_settled WHERE org = $1 AND day = $2), 0)
