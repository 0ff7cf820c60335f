-- The organization of batch ?1 took ?3 tokens on day ?2. Index: primary keys.
INSERT INTO org_day (org, day, tokens) SELECT org, ?2, ?3 FROM batch WHERE id = ?1
ON CONFLICT (day, org) DO UPDATE SET tokens = org_day.tokens + excluded.tokens
