-- What follows on this connection sees one moment, until `rollback`.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY
