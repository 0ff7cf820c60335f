-- As sql/day_forget.sql; and what nodes settled. Index: primary keys.
WITH settled AS (
	DELETE FROM org_day_settled WHERE day < $1
)
DELETE FROM org_day WHERE day < $1
