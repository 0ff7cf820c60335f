-- A number that is another one once any other connection has changed the database.
PRAGMA data_version
