"""What went wrong in a PostgreSQL database, in words that name the database and the fix, and never the password."""

from __future__ import annotations

import psycopg

from delivery.ledger import LedgerError
from delivery.postgres.address import Address

READ_ONLY = "it is read-only: a standby, or set so; name the primary (of several hosts: ?target_session_attrs=primary)"

_BY_STATE = {
    "25006": READ_ONLY,
    "25P03": "this process did nothing for too long in the middle of a write; it is tried again",
    "3D000": "create it first: createdb {database}",
    "3F000": "its tables are gone; restart, and they are made anew",
    "42501": "its user may not do this; GRANT it the right, or let the database's owner start sottovoce once",
    "42P01": "its tables are gone; restart, and they are made anew",
    "53100": "the server's disk is full; free some space there",
    "53200": "the server has no memory left",
    "53300": "all its connections are taken; raise max_connections, or let fewer programs connect",
    "55P03": "another program holds a lock on this; it is tried again with the next call",
    "57014": "it took too long; the server may be overloaded",
    "57P01": "the server was shut down; start it",
    "57P02": "the server has crashed; it recovers by itself",
    "57P03": "the server is starting or stopping; it is tried again with the next call",
    "58030": "its disk does not work as it should; look at the server's log",
    "XX001": "it is damaged; look at the server's log, restore a copy",
    "XX002": "an index is damaged; REINDEX it",
}
"""By SQLSTATE (PostgreSQL's documentation, appendix A)."""

_COLLIDED = ("40001", "40P01")
"""A serialization failure and a deadlock."""

_BY_WORDS = {
    "password authentication failed": "the URL's user or password is wrong",
    "no password supplied": "it asks for a password; put it into the URL or into ~/.pgpass",
    "does not exist": "create it first (createuser, createdb {database}), or name another",
    "no pg_hba.conf entry": "let this machine in: the server's pg_hba.conf says who may come from where",
    "authentication failed": "the server's pg_hba.conf does not let this user in like that",
    "Connection refused": "no PostgreSQL listens there; start it, or look at host and port",
    "resolve host": "no such host is known; look at its name",
    "service not known": "no such host is known; look at its name",
    "No such file or directory": "no PostgreSQL listens on that socket; start it, or name its host",
    "too many clients": _BY_STATE["53300"],
    "remaining connection slots": _BY_STATE["53300"],
    "starting up": _BY_STATE["57P03"],
    "shutting down": _BY_STATE["57P03"],
    "session is not read-write": READ_ONLY,
    "server is in hot standby mode": READ_ONLY,
    "timeout": "nobody answers there; look at host, port and firewall",
    "SSL": "look at sslmode in the URL and at the server's certificate",
}
"""A connection that fails has no SQLSTATE, only libpq's words."""

AWAY = "the server went away, or the way to it; it is tried again with the next call"


class LostError(LedgerError):
    """There is no connection."""


class BrokenError(LostError):
    """A connection broke while it was made or used; another one may do."""


class HungError(LostError):
    """No answer came in time; asking again would take as long."""


class CollisionError(LedgerError):
    """Another write was in the way, so this one was undone: it may be tried again."""


def explained(error: psycopg.Error | OSError, address: Address) -> LedgerError:
    """What happened, where, and what to do about it: a LostError if the server itself said nothing."""
    words = " ".join(str(error).split()) or type(error).__name__
    state = getattr(error, "sqlstate", None)
    if state:
        fix = _BY_STATE.get(state, f"PostgreSQL calls it {state}")
    else:
        fix = next((fix for part, fix in _BY_WORDS.items() if part in words), AWAY)
    text = address.redacted(f"PostgreSQL at {address}: {words}; {fix.format(database=address.database)}")
    if state:
        return CollisionError(text) if state in _COLLIDED else LedgerError(text)
    return BrokenError(text) if fix is AWAY else LostError(text)
