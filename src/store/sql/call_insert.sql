-- Records that ?5 was made by a call of key ?1 to route ?2, with idempotency key ?3 or NULL and
-- content ?4, at ?6.
INSERT INTO call (api_key, route, idempotency_key, fingerprint, answer, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
