-- What organizations of the array $1 did before tick $2. Index: primary key.
DELETE FROM history_ticks WHERE org = ANY ($1::text[]) AND tick < $2::bigint
