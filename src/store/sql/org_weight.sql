-- The weight of the organization ?1. Index: primary key.
SELECT weight FROM org WHERE id = ?1
