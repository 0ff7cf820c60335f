-- savepoint_undo
-- Its changes are taken back, not those of the group's others.
ROLLBACK TO member
