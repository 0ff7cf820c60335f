-- Uploads in parts of organization ?1 that are pending. Index: org's primary key.
SELECT uploads FROM org WHERE id = ?1
