-- Batches of an organization in the order in which its limits let them be sent (contract 13.1), and the
-- organizations that have a limit of their own.
CREATE INDEX batch_open_of_org ON batch (org, sequence) WHERE NOT final;
CREATE INDEX org_limit_by_name ON org_limit (name, value);
