"""The ledger's tables in PostgreSQL, version by version: the same columns as in SQLite. Times are the server's."""

from __future__ import annotations

VERSIONS = [
    """
    CREATE TABLE sottovoce.processes (
        id text PRIMARY KEY,
        address text,
        beat_at timestamptz NOT NULL,
        gone boolean NOT NULL DEFAULT false
    );
    CREATE TABLE sottovoce.rooms (
        room text PRIMARY KEY,
        owner text NOT NULL,
        epoch bigint NOT NULL,
        held boolean NOT NULL DEFAULT true,
        taken_at timestamptz NOT NULL
    );
    CREATE TABLE sottovoce.deliveries (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL UNIQUE,
        room text NOT NULL,
        content text NOT NULL,
        strategy text NOT NULL,
        addressee text,
        task text,
        priority integer NOT NULL,
        ttl double precision,
        supersedes text,
        max_wait double precision,
        on_interrupt text NOT NULL,
        speak_as text NOT NULL,
        fold boolean NOT NULL,
        metadata text NOT NULL,
        traceparent text,
        status text NOT NULL,
        wording text,
        heard_chars integer NOT NULL DEFAULT 0,
        attempts integer NOT NULL DEFAULT 0,
        reason text NOT NULL DEFAULT '',
        unwanted boolean NOT NULL DEFAULT false,
        epoch bigint NOT NULL DEFAULT 0,
        put_at timestamptz NOT NULL,
        moved_at timestamptz NOT NULL
    );
    CREATE INDEX deliveries_by_room ON sottovoce.deliveries (room, status, seq);
    """,
    "CREATE INDEX deliveries_by_age ON sottovoce.deliveries (put_at);",
]
"""Strategy and metadata are JSON, kept as text: `jsonb` would put keys in another order and cannot keep \\u0000.
An index of moved_at would be written anew with every word that is heard; that of put_at finds what ended long ago, too.
"""
