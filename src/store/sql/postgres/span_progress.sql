-- Of each batch of the array $1 that has spans, with its place there from 1: how many they are, how many
-- are finished, and are lent to a node whose lease runs; the lines of all, and those of the lent ones that
-- are not done; and the sums of what was counted. Index: primary keys.
SELECT a.i, count(*), count(*) FILTER (WHERE s.finished), count(o.id), sum(s.lines)::bigint,
	coalesce(sum(s.lines - s.completed - s.failed) FILTER (WHERE o.id IS NOT NULL), 0)::bigint,
	sum(s.completed)::bigint, sum(s.failed)::bigint, sum(s.expired)::bigint,
	sum(s.cancelled)::bigint, sum(s.retried)::bigint, sum(s.input_tokens)::bigint,
	sum(s.cached_tokens)::bigint, sum(s.output_tokens)::bigint, sum(s.reasoning_tokens)::bigint,
	sum(s.total_tokens)::bigint
FROM unnest($1::text[]) WITH ORDINALITY AS a (batch, i)
JOIN spans AS s ON s.batch = a.batch
LEFT JOIN nodes AS o ON NOT s.finished AND o.id = s.node AND o.epoch = s.node_epoch
	AND o.lease_until > statement_timestamp()
GROUP BY a.i
