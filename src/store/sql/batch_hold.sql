-- Holds batch ?1 as ?2 (enum batch_hold) since ?3, or lets it go on (0, NULL), while it has lines that
-- may be sent: validating or in progress. Held by its canary (2), that is over. Index: primary key.
UPDATE batch SET hold = ?2, held_at = ?3, canary_over = canary_over OR ?2 = 2
WHERE id = ?1 AND status IN (0, 1) AND hold <> ?2
