-- The number of organization ?1's last change of a batch's state. Index: batch_changed.
SELECT coalesce(max(changed), 0) FROM batch WHERE org = ?1
