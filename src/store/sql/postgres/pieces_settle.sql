-- Node $1 in epoch $2 settles chunk $3: arrays, an element a piece, $4 to $16. The numbers of those
-- whose spans it holds, from 1; of these the rows are there, and the counts are in the spans, and the tokens
-- in the node's row of the organization's UTC day, once.
-- Spans are locked in order: two settlements do not wait for one another in a circle. Each is found
-- by its primary key (the sums keep spans_owned out of it, with which each piece would be compared
-- with each span of the node). Index: primary keys.
WITH me AS MATERIALIZED (
	SELECT 1 FROM nodes WHERE id = $1 AND epoch = $2 FOR KEY SHARE
), held AS MATERIALIZED (
	SELECT a.*
	FROM unnest($4::text[], $5::int[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
		$10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],
		$16::bigint[])
		WITH ORDINALITY AS a (batch, n, epoch, at, length, completed, failed, retried,
			input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens, i)
	JOIN spans AS s ON s.batch = a.batch AND s.n = a.n
	WHERE NOT s.finished AND s.node + 0 = $1 AND s.node_epoch + 0 = $2 AND s.epoch = a.epoch
		AND EXISTS (SELECT 1 FROM me)
	ORDER BY s.batch, s.n
	FOR NO KEY UPDATE OF s
), new AS (
	INSERT INTO journal_pieces (batch, span, chunk, at, length, completed, failed, retried,
		input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens)
	SELECT batch, n, $3, at, length, completed, failed, retried,
		input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens
	FROM held
	ON CONFLICT (batch, span, chunk) DO NOTHING
	RETURNING *
), counted AS (
	UPDATE spans AS s SET
		completed = s.completed + new.completed,
		failed = s.failed + new.failed,
		retried = s.retried + new.retried,
		input_tokens = s.input_tokens + new.input_tokens,
		cached_tokens = s.cached_tokens + new.cached_tokens,
		output_tokens = s.output_tokens + new.output_tokens,
		reasoning_tokens = s.reasoning_tokens + new.reasoning_tokens,
		total_tokens = s.total_tokens + new.total_tokens
	FROM new
	WHERE s.batch = new.batch AND s.n = new.span
), taken AS (
	INSERT INTO org_day_settled AS t (day, org, node, tokens)
	SELECT floor(extract(epoch FROM statement_timestamp()) / 86400)::bigint, b.org, $1,
		sum(new.input_tokens + new.output_tokens)::bigint
	FROM new JOIN batch AS b ON b.id = new.batch
	GROUP BY b.org HAVING sum(new.input_tokens + new.output_tokens) > 0
	ON CONFLICT (day, org, node) DO UPDATE SET tokens = t.tokens + excluded.tokens
)
SELECT i FROM held
