"""The state's tables, as migrations: each entry takes a database from its version to the next one.

A migration that was released is never changed; what has to change comes as a further one. `PRAGMA user_version`
holds the number of migrations done. Moments are stored as microseconds since 1970 UTC, facts and texts as JSON.
"""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE designations (id TEXT PRIMARY KEY, source TEXT NOT NULL, at INTEGER NOT NULL) STRICT",
        "CREATE TABLE sources (id TEXT PRIMARY KEY, source TEXT NOT NULL, first_at INTEGER NOT NULL,"
        " last_at INTEGER NOT NULL) STRICT",
        "CREATE TABLE results (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
        " subject TEXT NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, outcome TEXT NOT NULL,"
        " summary TEXT NOT NULL, bytes_done INTEGER NOT NULL) STRICT",
        "CREATE INDEX results_by_subject ON results (kind, subject, number)",
        "CREATE TABLE slots (name TEXT NOT NULL, planned_at INTEGER NOT NULL, outcome TEXT NOT NULL,"
        " job_id TEXT NOT NULL, PRIMARY KEY (name, planned_at)) STRICT, WITHOUT ROWID",
        "CREATE TABLE usages (at INTEGER PRIMARY KEY, used_bytes INTEGER NOT NULL, objects INTEGER NOT NULL,"
        " capacity_bytes INTEGER) STRICT",
        'CREATE TABLE "values" (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT',
    ),
    (
        "CREATE TABLE directives (number INTEGER PRIMARY KEY, document TEXT NOT NULL, received_at INTEGER NOT NULL,"
        " way TEXT NOT NULL) STRICT",
    ),
    (
        "CREATE TABLE verified_packs (place TEXT NOT NULL, pack BLOB NOT NULL, seen_at INTEGER NOT NULL,"
        " verified_at INTEGER, damaged INTEGER NOT NULL, PRIMARY KEY (place, pack)) STRICT, WITHOUT ROWID",
    ),
    (
        "ALTER TABLE usages ADD COLUMN collected_bytes INTEGER",
        "ALTER TABLE usages ADD COLUMN unlisted_bytes INTEGER NOT NULL DEFAULT 0",
    ),
    (
        "ALTER TABLE slots ADD COLUMN cause TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE slots ADD COLUMN clause TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE slots ADD COLUMN overran INTEGER NOT NULL DEFAULT 0",
    ),
    (
        "CREATE TABLE traffic (month TEXT NOT NULL, bucket TEXT NOT NULL, sent INTEGER NOT NULL,"
        " received INTEGER NOT NULL, PRIMARY KEY (month, bucket)) STRICT, WITHOUT ROWID",
    ),
    (
        "CREATE TABLE protected (place TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL,"
        " until INTEGER NOT NULL, PRIMARY KEY (place, key, version)) STRICT, WITHOUT ROWID",
        "CREATE TABLE let_go (place TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (place, key)) STRICT, WITHOUT ROWID",
    ),
    (
        "ALTER TABLE protected ADD COLUMN needed INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX protected_needed ON protected (place, until) WHERE needed",
    ),
)
