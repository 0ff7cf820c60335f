-- Node $1 enters with a lease of $2 us; where it is in already, nothing changes. Index: primary
-- key.
INSERT INTO nodes (id, epoch, lease_until, held_since, address, version, config)
VALUES ($1, 1, statement_timestamp() + $2::bigint * interval '1 us', statement_timestamp(), $3, $4, $5)
ON CONFLICT (id) DO NOTHING
