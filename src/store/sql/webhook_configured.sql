-- Ids of the configuration's endpoints. Index: webhook_endpoint_configured.
SELECT id FROM webhook_endpoint WHERE configured
