-- Part ?1 of upload ?2. Index: primary key.
SELECT blob, at, bytes FROM upload_part WHERE id = ?1 AND upload = ?2
