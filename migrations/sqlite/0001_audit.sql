-- The store of one brain: its audit log, and a few numbers it must not forget.
-- 'LTSO': tells this file from any other SQLite database.
PRAGMA application_id = 1280594767;

CREATE TABLE audit (
    seq       INTEGER PRIMARY KEY,          -- 1, 2, 3 … without a gap
    at        TEXT NOT NULL,                -- RFC 3339, UTC
    actor     TEXT NOT NULL,                -- {"id": …, "kind": brain|person|pipeline|proxy}
    kind      TEXT NOT NULL,
    service   TEXT,
    incident  TEXT,
    action    TEXT,
    data      TEXT NOT NULL,                -- canonical JSON (RFC 8785)
    prev_hash TEXT NOT NULL,                -- the record before, 64 zeros for the first
    hash      TEXT NOT NULL                 -- SHA-256 over the canonical JSON of all of the above
) STRICT;

CREATE INDEX audit_by_at       ON audit (at);
CREATE INDEX audit_by_kind     ON audit (kind, seq);
CREATE INDEX audit_by_service  ON audit (service, seq)  WHERE service  IS NOT NULL;
CREATE INDEX audit_by_incident ON audit (incident, seq) WHERE incident IS NOT NULL;

-- Append-only: what is written stays as it is.
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,                 -- epoch: the highest this store has used; head: seq and hash of the last record
    value TEXT NOT NULL
) STRICT;
