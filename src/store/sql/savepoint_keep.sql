-- savepoint_keep
-- Its changes are the group's.
RELEASE member
