-- Whether there is an organization ?1. Index: primary key.
SELECT EXISTS (SELECT 1 FROM org WHERE id = ?1)
