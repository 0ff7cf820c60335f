-- Organization ?1 took ?3 tokens on day ?2. Index: primary key.
INSERT INTO org_day (org, day, tokens) VALUES (?1, ?2, ?3)
ON CONFLICT (day, org) DO UPDATE SET tokens = org_day.tokens + excluded.tokens
