-- How many spans batch $1 has. Index: primary key.
SELECT count(*) FROM spans WHERE batch = $1
