-- What validation found of batch ?1: lines ?2, estimated tokens ?3, model ?4; and the files it is
-- to write, ?5 and ?6. Index: primary key.
UPDATE batch SET total = ?2, tokens = ?3, model = ?4, output_file_id = ?5, error_file_id = ?6
WHERE id = ?1
