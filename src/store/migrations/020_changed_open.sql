-- Batches that are not final, in the order of their changes: what a stream of an organization tells
-- first (contract 11.3, events), however many have ended.
CREATE INDEX batch_changed_open ON batch (org, changed) WHERE NOT final;
