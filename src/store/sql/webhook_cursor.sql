-- The number of endpoint ?1 of organization ?2 in the order of making. Index: id.
SELECT sequence FROM webhook_endpoint WHERE id = ?1 AND org = ?2 AND NOT configured
