-- Ends the pending upload ?1 as ?2 at ?3; ?4 is its file, ?5 the hash of its list of parts. Index:
-- primary key.
UPDATE upload SET status = ?2, ended_at = ?3, file = ?4, part_list = ?5
WHERE id = ?1 AND status = 0
