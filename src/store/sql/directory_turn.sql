-- Counts a turn at ?2; in a database that is new the directory gets the id ?1. Index: primary key.
INSERT INTO directory VALUES (1, ?1, 1, ?2)
ON CONFLICT (one) DO UPDATE SET turns = directory.turns + 1, seen_at = excluded.seen_at
