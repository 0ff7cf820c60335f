-- Whether endpoint ?1 fails (?2). Index: id.
UPDATE webhook_endpoint SET failing = ?2 WHERE id = ?1 AND failing <> ?2
