-- Of each batch of the array $1 that has spans, with its place there from 1: how many they are, how many
-- are finished, and are lent to a node whose lease runs; the lines of all, and those of the lent ones that
-- are not done; the sums of what was counted; and whose it is. Index: primary keys.
SELECT a.i, count(*), count(*) FILTER (WHERE s.finished), count(o.id), sum(s.lines)::bigint,
	coalesce(sum(greatest(s.lines - s.completed - s.failed, 0)) FILTER (WHERE o.id IS NOT NULL), 0)::bigint,
	sum(s.completed)::bigint, sum(s.failed)::bigint, sum(s.expired)::bigint,
	sum(s.cancelled)::bigint, sum(s.retried)::bigint, sum(s.input_tokens)::bigint,
	sum(s.cached_tokens)::bigint, sum(s.output_tokens)::bigint, sum(s.reasoning_tokens)::bigint,
	sum(s.total_tokens)::bigint, max(b.org)
FROM unnest($1::text[]) WITH ORDINALITY AS a (batch, i)
JOIN batch AS b ON b.id = a.batch
JOIN spans AS s ON s.batch = a.batch
LEFT JOIN nodes AS o ON NOT s.finished AND o.id = s.node AND o.epoch = s.node_epoch
	AND o.lease_until > statement_timestamp()
GROUP BY a.i
