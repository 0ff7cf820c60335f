-- The pieces of what node $1 in epoch $2 has just claimed by ticket $3. A statement of its own
-- after the claim: what was settled while the claim looked for the span is seen. Index:
-- spans_owned, primary key.
SELECT p.chunk, p.at, p.length, p.completed + p.failed
FROM spans AS s JOIN journal_pieces AS p ON p.batch = s.batch AND p.span = s.n
WHERE NOT s.finished AND s.node = $1 AND s.node_epoch = $2 AND s.ticket = $3
ORDER BY p.chunk
