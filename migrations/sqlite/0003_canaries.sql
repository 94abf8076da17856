-- Rollouts as they stand, so that a brain that was killed goes on with each or takes it back. What was decided
-- and why is in the audit log; this is the state to go on from.
CREATE TABLE canaries (
    id    TEXT PRIMARY KEY,                 -- can-1, can-2 …
    at_ms INTEGER NOT NULL,                 -- Unix time, ms
    state BLOB NOT NULL                     -- JSON, zstd
) STRICT;
