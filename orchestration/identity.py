"""Who a caller is: a name in a room belongs to whoever holds its resume token, also after a restart."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import unicodedata
from collections.abc import Sequence
from typing import Protocol

from delivery.database import NOW, Database

MAX_NAME = 64
"""Most characters of a room's or a caller's name: it is shown on the page and spoken."""

MAX_TOKEN = 128
"""Most characters of a token that are looked at; ours have 43."""

MAX_NAMES = 1000
"""Most names that may be claimed in one room, so that a stranger cannot fill the disk with them."""

TOKEN_BYTES = 32
"""Random bytes in a token: nobody can guess it, so nobody needs to be slowed down."""


class IdentityError(Exception):
    """The name was not given to whoever asked."""


class NameTakenError(IdentityError):
    """Another caller has this name in this room, and the token does not prove to be them."""


class TooManyNamesError(IdentityError):
    """The room has as many names as it may."""


def valid_name(value: object, field: str = "name") -> str:
    """`value` as a room's or caller's name: stripped, in Unicode's composed form (NFC), 1 to 64 printable characters.

    The one place where such names are checked. Raises ValueError naming `field` and what is wrong.
    """
    if not isinstance(value, str):
        raise ValueError(f"{field} must be text, not {type(value).__name__}")
    if value.isascii() and value.isprintable() and 1 <= len(value) <= MAX_NAME and " " not in (value[0], value[-1]):
        return str(value)  # nearly all are like this, and each message has several
    if len(value) > 4 * MAX_NAME:
        raise ValueError(f"{field} must have 1 to {MAX_NAME} characters, not {len(value)}")
    name = unicodedata.normalize("NFC", value).strip()
    if not 1 <= len(name) <= MAX_NAME:
        raise ValueError(f"{field} must have 1 to {MAX_NAME} characters, not {len(name)}")
    if not name.isprintable():
        raise ValueError(f"{field} must have printable characters only: letters, digits, spaces, punctuation")
    return name


def valid_names(values: object, field: str) -> tuple[str, ...]:
    """`values` as a list of names. Raises TypeError when it is none, ValueError when one of them is no name."""
    if isinstance(values, str):
        raise TypeError(f"{field}: {values!r:.60} is one name; give a list of names")
    if not isinstance(values, Sequence):
        raise TypeError(f"{field}: {values!r:.60} is no list; give a list of names")
    return tuple(valid_name(value, field) for value in values)


class Identities(Protocol):
    """Remembers whose a name is, room by room."""

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...

    async def claim(self, room: str, name: str, token: str | None) -> str:
        """Be `name` in `room`. Returns the resume token to come back with: a fresh one for a new name, else the same.

        Raises NameTakenError when the name is another's, TooManyNamesError when the room has MAX_NAMES, ValueError for
        a name or room that cannot be one.
        """
        ...


class MemoryIdentities:
    """Names that last as long as the process."""

    def __init__(self) -> None:
        self._marks: dict[str, dict[str, bytes]] = {}

    async def open(self) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        """Nothing to do; the names are kept."""

    async def claim(self, room: str, name: str, token: str | None) -> str:
        """Be `name` in `room`."""
        names = self._marks.setdefault(valid_name(room, "room"), {})
        name = valid_name(name)
        known = names.get(name)
        if known is not None:
            return proven(room, name, token, known)
        if len(names) >= MAX_NAMES:
            raise TooManyNamesError(f"room {room!r} already has {MAX_NAMES} names")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        names[name] = mark(token)
        return token


_VERSIONS = [
    """
    CREATE TABLE identities (
        room TEXT NOT NULL,
        name TEXT NOT NULL,
        mark BLOB NOT NULL,
        claimed_at REAL NOT NULL,
        seen_at REAL NOT NULL,
        PRIMARY KEY (room, name)
    );
    """,
]


class SqliteIdentities:
    """Names in an SQLite file, usually the ledger's: `SqliteIdentities(ledger.database)`.

    Only a SHA-256 of each token is kept: the token is random and long, so nothing slower is needed.
    Errors of the file are LedgerErrors.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        """Open the file and bring its tables up to date. Raises LedgerError naming path and fix."""
        await self._database.open_with("identities", _VERSIONS)

    async def aclose(self) -> None:
        """Let go of the file."""
        await self._database.aclose()

    async def claim(self, room: str, name: str, token: str | None) -> str:
        """Be `name` in `room`."""
        key = valid_name(room, "room"), valid_name(name)
        fresh = secrets.token_urlsafe(TOKEN_BYTES)

        def take(connection: sqlite3.Connection) -> str:
            known = connection.execute("SELECT mark FROM identities WHERE room = ? AND name = ?", key).fetchone()
            if known is not None:
                given = proven(*key, token, known["mark"])
                connection.execute(f"UPDATE identities SET seen_at = {NOW} WHERE room = ? AND name = ?", key)  # noqa: S608
                return given
            count = connection.execute("SELECT count(*) FROM identities WHERE room = ?", key[:1]).fetchone()[0]
            if count >= MAX_NAMES:
                raise TooManyNamesError(f"room {key[0]!r} already has {MAX_NAMES} names")
            connection.execute(f"INSERT INTO identities VALUES (?, ?, ?, {NOW}, {NOW})", (*key, mark(fresh)))  # noqa: S608
            return fresh

        return await self._database.write(take)


def mark(token: str) -> bytes:
    """What is kept of a token: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def proven(room: str, name: str, token: str | None, known: bytes) -> str:
    """`token` if it is the one whose mark is `known`; compared in constant time."""
    offered = token if isinstance(token, str) and len(token) <= MAX_TOKEN else ""
    if not hmac.compare_digest(mark(offered), known):
        raise NameTakenError(
            f"the name {name!r} is taken in room {room!r}; choose another, or come back with its token"
        )
    return offered
