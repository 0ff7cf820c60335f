-- Days before ?1 go. Index: primary key.
DELETE FROM org_day WHERE day < ?1
