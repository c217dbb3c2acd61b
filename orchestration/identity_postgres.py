"""Whose a name is, for all the processes that share a PostgreSQL database."""

from __future__ import annotations

import secrets

from delivery.postgres.database import PostgresDatabase, Transaction
from orchestration import identity
from orchestration.identity import TOKEN_BYTES, TooManyNamesError, mark, proven, valid_name

_VERSIONS = [
    """
    CREATE TABLE sottovoce.identities (
        room text NOT NULL,
        name text NOT NULL,
        mark bytea NOT NULL,
        claimed_at timestamptz NOT NULL,
        seen_at timestamptz NOT NULL,
        PRIMARY KEY (room, name)
    );
    """,
]


class PostgresIdentities:
    """Names in a PostgreSQL database, usually the ledger's: `PostgresIdentities(ledger.database)`.

    Only a SHA-256 of each token is kept, as in SQLite. Errors of the database are LedgerErrors.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def open(self) -> None:
        """Connect and bring the tables up to date. Raises LedgerError naming the database and the fix."""
        await self._database.open_with("identities", _VERSIONS)

    async def aclose(self) -> None:
        """Let go of the database."""
        await self._database.aclose()

    async def claim(self, room: str, name: str, token: str | None) -> str:
        """Be `name` in `room`."""
        room, name = valid_name(room, "room"), valid_name(name)
        fresh = secrets.token_urlsafe(TOKEN_BYTES)
        facts = {"room": room, "name": name, "mark": mark(fresh)}

        async def take(transaction: Transaction) -> str:
            lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
            await transaction.execute(lock, (f"sottovoce names {room}",))
            known, counted = await transaction.answers(
                await transaction.execute(
                    "SELECT mark FROM sottovoce.identities WHERE room = %(room)s AND name = %(name)s", facts
                ),
                await transaction.execute(
                    "SELECT count(*) AS n FROM sottovoce.identities WHERE room = %(room)s", facts
                ),
            )
            if known:
                # It is the fresh one when this ran before and the answer to the commit was lost.
                given = fresh if known[0]["mark"] == facts["mark"] else proven(room, name, token, known[0]["mark"])
                await transaction.execute(
                    "UPDATE sottovoce.identities SET seen_at = clock_timestamp() "
                    "WHERE room = %(room)s AND name = %(name)s",
                    facts,
                )
                return given
            if counted[0]["n"] >= identity.MAX_NAMES:
                raise TooManyNamesError(f"room {room!r} already has {identity.MAX_NAMES} names")
            await transaction.execute(
                "INSERT INTO sottovoce.identities "
                "VALUES (%(room)s, %(name)s, %(mark)s, clock_timestamp(), clock_timestamp())",
                facts,
            )
            return fresh

        return await self._database.run(self._database.write(take))
