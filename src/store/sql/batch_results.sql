-- The end of batch ?1: its result files ?2 and ?3, NULL where there is none, and why it failed, if
-- it did. Index: primary key.
UPDATE batch SET output_file_id = ?2, error_file_id = ?3, errors = ?4 WHERE id = ?1
