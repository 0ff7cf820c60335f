-- Batch ?1 was made in the trace ?2.
INSERT INTO batch_trace (batch, traceparent) VALUES (?1, ?2)
