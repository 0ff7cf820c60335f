-- Endpoints of the configuration, among all organizations' (contract 12).
CREATE INDEX webhook_endpoint_configured ON webhook_endpoint (id) WHERE configured;
