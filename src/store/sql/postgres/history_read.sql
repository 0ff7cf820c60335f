-- By steps of $3 ticks, from tick $2 on: what organization $1 did, where it or another did anything.
-- Index: primary key.
SELECT tick / $3::bigint AS step,
	coalesce(sum(lines) FILTER (WHERE org = $1), 0)::bigint,
	coalesce(sum(tokens) FILTER (WHERE org = $1), 0)::bigint,
	coalesce(sum(first_ms) FILTER (WHERE org = $1), 0)::bigint,
	coalesce(sum(firsts) FILTER (WHERE org = $1), 0)::bigint
FROM history_ticks WHERE org IN ('', $1) AND tick >= $2::bigint
GROUP BY step ORDER BY step
