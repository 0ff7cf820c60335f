-- What follows on this connection sees one moment, until `commit`.
BEGIN
