-- Run once on every connection. A commit is on disk when it returns, whatever the database is set to.
SELECT set_config('synchronous_commit', 'on', FALSE)
WHERE current_setting('synchronous_commit') = 'off'
