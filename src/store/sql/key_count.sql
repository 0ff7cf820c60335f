-- How many keys are in force; at start only, so it may scan.
SELECT count(*) FROM api_key WHERE revoked_at IS NULL
