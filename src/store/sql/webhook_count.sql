-- How many endpoints organization ?1 has. Index: webhook_endpoint_page.
SELECT count(*) FROM webhook_endpoint WHERE org = ?1 AND NOT configured
