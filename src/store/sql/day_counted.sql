-- Of batch ?1 so many tokens, ?2, are counted for some day. Index: primary key.
UPDATE progress SET counted_tokens = max(counted_tokens, ?2) WHERE batch = ?1
