-- How many lines a result file has (contract 11.3, X-Last-Line); 0 of input files.
ALTER TABLE file ADD COLUMN lines INTEGER NOT NULL DEFAULT 0;
UPDATE file SET lines = progress.output_lines
FROM batch JOIN progress ON progress.batch = batch.id
WHERE batch.final AND batch.output_file_id = file.id;
UPDATE file SET lines = progress.error_lines
FROM batch JOIN progress ON progress.batch = batch.id
WHERE batch.final AND batch.error_file_id = file.id;
