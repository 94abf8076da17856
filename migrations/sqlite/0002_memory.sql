-- What a brain knew when it was last asked: baselines, so that a restarted brain is not blind. No proof
-- of anything, and not part of the chain: it may be deleted at the price of learning again.
CREATE TABLE memory (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    at_ms INTEGER NOT NULL,                 -- Unix time, ms
    data  BLOB NOT NULL                     -- JSON, zstd
) STRICT;
