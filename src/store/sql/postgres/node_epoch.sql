-- The epoch of node $1, after what the statements before did. Index: primary key.
SELECT epoch FROM nodes WHERE id = $1
