-- Says that the database is of directory ?1, ?2 turns at ?3. Index: primary key.
INSERT INTO directory VALUES (1, ?1, ?2, ?3)
ON CONFLICT (one) DO UPDATE SET id = excluded.id, turns = excluded.turns, seen_at = excluded.seen_at
