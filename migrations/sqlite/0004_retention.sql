-- The log may be shortened at its old end, and only by what a tombstone in it names: the tombstone is written
-- first, in the same transaction. Who verifies the log checks its signature.
DROP TRIGGER audit_is_never_shortened;
CREATE TRIGGER audit_is_shortened_only_under_a_tombstone BEFORE DELETE ON audit
WHEN OLD.seq > coalesce((SELECT json_extract(data, '$.tombstone.through_seq') FROM audit WHERE kind = 'tombstone' ORDER BY seq DESC LIMIT 1), 0)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
