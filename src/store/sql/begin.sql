-- IMMEDIATE: waits for another process' writer here, and can no longer fail with BUSY later.
BEGIN IMMEDIATE
