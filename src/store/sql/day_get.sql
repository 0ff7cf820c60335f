-- What organization ?1 took on day ?2. Index: primary key.
SELECT coalesce((SELECT tokens FROM org_day WHERE org = ?1 AND day = ?2), 0)
