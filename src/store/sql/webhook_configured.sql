-- Ids of the configuration's endpoints.
SELECT id FROM webhook_endpoint WHERE configured
