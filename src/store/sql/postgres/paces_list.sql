-- How fast batch $1 went at each node. Index: primary key.
SELECT begun, step_s, lines FROM batch_paces WHERE batch = $1 ORDER BY node
