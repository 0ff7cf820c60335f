-- Gives the organization of name ?1 the weight ?2. Index: org.name (unique).
UPDATE org SET weight = ?2 WHERE name = ?1
