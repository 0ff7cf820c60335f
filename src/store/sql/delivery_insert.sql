INSERT INTO webhook_delivery (id, endpoint, event, type, batch, at, began_at, next_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6)
