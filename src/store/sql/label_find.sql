-- The label ?2 = ?3 of organization ?1. Index: label's (org, key, value) (unique).
SELECT id FROM label WHERE org = ?1 AND key = ?2 AND value = ?3
