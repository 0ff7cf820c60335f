-- Of batch ?1 so many tokens, ?2, are counted for some day. Index: primary key.
UPDATE progress SET counted_tokens = CASE WHEN ?2 > counted_tokens THEN ?2 ELSE counted_tokens END WHERE batch = ?1
