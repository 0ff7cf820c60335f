-- What ended at node $1, arrays, an element an organization and tick, $2 to $7. What is there stays:
-- asked again it changes nothing. Index: primary key.
INSERT INTO history_ticks (org, tick, node, lines, tokens, first_ms, firsts)
SELECT a.org, a.tick, $1, a.lines, a.tokens, a.first_ms, a.firsts
FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
	AS a (org, tick, lines, tokens, first_ms, firsts)
ON CONFLICT (org, tick, node) DO NOTHING
