-- The trace that batch ?1 was made in.
SELECT traceparent FROM batch_trace WHERE batch = ?1
