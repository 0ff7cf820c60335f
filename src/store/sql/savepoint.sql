-- savepoint
-- A further transaction of a group begins: it can be rolled back without those before it.
SAVEPOINT member
