-- A span for node $1 in epoch $2, whose lease runs, by its ticket $3: of the models $4, none of
-- those that it holds, or has nothing more to send of ($5, $6: batches and numbers, element by element); of
-- the batches $7, of which it has enough, only once they have ended.
--
-- The order, which all nodes go by:
--   0  what is in its name and not held: the answer of that claim was lost
--   1  of batches that have ended (cancelling, or past their window): lines to fill, none to send. The
--      longest ended first
--   2  of late batches: less than a quarter of the window is left. The earliest end first
--   3  of the organization that has the fewest lines in others' hands for its weight: not yet done, of
--      spans with an owner. In it the earliest end first
-- and in a batch the first span. Batches that are held, or not to begin yet, or whose organization
-- is suspended, only once they have ended. (`hours` are not looked at: nodes know the zone, and
-- give back.) What the order reads may have changed when it is used; a claim is no less right for
-- that.
--
-- A few of each kind are looked at, so that the order costs by organizations and not by spans;
-- claims at one time skip each other's. That a span is free is asked of its newest row, when it is
-- locked, against nodes as they were when the statement began: so an owner is gone where its node
-- has a later epoch, which stays so, not where it has another one.
--
-- Index: primary keys, spans_owned, spans_open, batch_to_end, batch_open, batch_late, batch_runs.
WITH me AS (
	UPDATE nodes SET ticket = $3
	WHERE id = $1 AND epoch = $2 AND ticket < $3 AND lease_until > statement_timestamp()
	RETURNING 1
), held AS MATERIALIZED (
	SELECT batch, n FROM unnest($5::text[], $6::int[]) AS a (batch, n)
), lent AS MATERIALIZED (
	SELECT b.org, sum(greatest(s.lines - s.completed - s.failed, 0)) AS lines
	FROM spans AS s JOIN batch AS b ON b.id = s.batch
	WHERE NOT s.finished AND s.node IS NOT NULL
	GROUP BY b.org
), best AS MATERIALIZED (
	(SELECT 0 AS place, s.batch, s.n, 0::numeric AS share, 0::bigint AS until
	FROM spans AS s
	WHERE NOT s.finished AND s.node = $1 AND s.node_epoch = $2
		AND NOT EXISTS (SELECT 1 FROM held AS h WHERE h.batch = s.batch AND h.n = s.n)
	LIMIT 8)
UNION ALL
	(SELECT 1, f.batch, f.n, 0, f.expires_at
	FROM (SELECT id, expires_at FROM batch WHERE status = 3
		UNION ALL
		SELECT id, expires_at FROM batch
		WHERE NOT final AND status = 1
			AND expires_at <= floor(extract(epoch FROM statement_timestamp()))::bigint) AS b
	CROSS JOIN LATERAL (SELECT s.batch, s.n, b.expires_at FROM spans AS s
		WHERE s.batch = b.id AND NOT s.finished AND (s.node IS NULL
			OR EXISTS (SELECT 1 FROM nodes AS o WHERE o.id = s.node AND o.epoch > s.node_epoch))
		ORDER BY s.n LIMIT 8) AS f
	ORDER BY f.expires_at LIMIT 32)
UNION ALL
	(SELECT 2, f.batch, f.n, 0, b.expires_at
	FROM batch AS b JOIN org ON org.id = b.org
	CROSS JOIN LATERAL (SELECT s.batch, s.n FROM spans AS s
		WHERE s.batch = b.id AND NOT s.finished AND (s.node IS NULL
			OR EXISTS (SELECT 1 FROM nodes AS o WHERE o.id = s.node AND o.epoch > s.node_epoch))
			AND NOT EXISTS (SELECT 1 FROM held AS h WHERE h.batch = s.batch AND h.n = s.n)
		ORDER BY s.n LIMIT 8) AS f
	WHERE b.status = 1 AND b.hold = 0
		AND b.expires_at - (b.expires_at - b.created_at) / 4
			<= floor(extract(epoch FROM statement_timestamp()))::bigint
		AND b.expires_at > floor(extract(epoch FROM statement_timestamp()))::bigint
		AND b.not_before <= floor(extract(epoch FROM statement_timestamp()))::bigint
		AND org.suspended_at IS NULL
		AND (b.model = ANY ($4::text[]) OR (b.model IS NULL AND $4::text[] <> '{}'))
		AND b.id <> ALL ($7::text[])
	ORDER BY b.expires_at, b.id LIMIT 8)
UNION ALL
	(SELECT 3, f.batch, f.n, coalesce(lent.lines, 0) / org.weight, f.expires_at
	FROM org LEFT JOIN lent ON lent.org = org.id
	CROSS JOIN LATERAL (SELECT s.batch, s.n, b.expires_at
		FROM batch AS b CROSS JOIN LATERAL (SELECT s.batch, s.n FROM spans AS s
			WHERE s.batch = b.id AND NOT s.finished AND (s.node IS NULL
				OR EXISTS (SELECT 1 FROM nodes AS o
					WHERE o.id = s.node AND o.epoch > s.node_epoch))
				AND NOT EXISTS (SELECT 1 FROM held AS h WHERE h.batch = s.batch AND h.n = s.n)
			ORDER BY s.n LIMIT 8) AS s
		WHERE b.org = org.id AND b.status = 1 AND b.hold = 0
			AND b.expires_at > floor(extract(epoch FROM statement_timestamp()))::bigint
			AND b.not_before <= floor(extract(epoch FROM statement_timestamp()))::bigint
			AND (b.model = ANY ($4::text[]) OR (b.model IS NULL AND $4::text[] <> '{}'))
			AND b.id <> ALL ($7::text[])
		ORDER BY b.expires_at, b.id LIMIT 8) AS f
	WHERE org.suspended_at IS NULL)
), taken AS MATERIALIZED (
	SELECT s.batch, s.n
	FROM best JOIN spans AS s ON s.batch = best.batch AND s.n = best.n
	WHERE EXISTS (SELECT 1 FROM me) AND NOT s.finished
		AND (s.node IS NULL
			OR EXISTS (SELECT 1 FROM nodes AS o WHERE o.id = s.node AND o.epoch > s.node_epoch)
			OR (s.node = $1 AND s.node_epoch = $2
				AND NOT EXISTS (SELECT 1 FROM held AS h WHERE h.batch = s.batch AND h.n = s.n)))
	ORDER BY best.place, best.share, best.until, s.batch, s.n
	LIMIT 1 FOR UPDATE OF s SKIP LOCKED
)
UPDATE spans AS s SET node = $1, node_epoch = $2, epoch = s.epoch + 1, ticket = $3
FROM taken, batch AS b
WHERE s.batch = taken.batch AND s.n = taken.n AND b.id = s.batch
RETURNING s.batch, s.n, s.epoch, s.first_segment, s.segments, s.lines, b.status,
	b.status = 3 OR b.expires_at <= floor(extract(epoch FROM statement_timestamp()))::bigint,
	s.completed, s.failed, s.expired, s.cancelled, s.retried,
	s.input_tokens, s.cached_tokens, s.output_tokens, s.reasoning_tokens, s.total_tokens
