"""Where a PostgreSQL database is: checked when it is given, and never shown with its password."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

FORM = "postgresql://user:password@host:5432/database"

_HIDDEN = "***"
_SECRET = ("password", "sslpassword")


class Address:
    """The database at `url`. As text it is "user@host:port/database".

    Raises ValueError naming what is wrong with the URL and how it should look.
    """

    def __init__(self, url: str) -> None:
        if not isinstance(url, str):
            raise ValueError(f"the database's URL must be text like {FORM}, not {type(url).__name__}")
        scheme = url.partition("://")[0] if "://" in url else ""
        if scheme not in ("postgresql", "postgres"):
            found = f"{scheme}://" if scheme.replace("+", "").isalnum() else "something else"
            raise ValueError(f"the database's URL must begin with postgresql://, not with {found}; write {FORM}")
        self._settings = _parsed(url)
        self._secrets = [str(self._settings[key]) for key in _SECRET if self._settings.get(key)]
        self._secrets += [part for part in (urlsplit(url).password,) if part]
        if not self._settings.get("dbname"):
            raise ValueError(f"the database's URL must name a database at its end: {FORM}")
        self.database = str(self._settings["dbname"])
        host = self._settings.get("host") or self._settings.get("hostaddr") or "local socket"
        port = f":{self._settings['port']}" if self._settings.get("port") else ""
        user = f"{self._settings['user']}@" if self._settings.get("user") else ""
        self.host = f"{host}{port}"
        self.hosts = str(host).count(",") + 1
        """How many servers it names: they are tried one after the other."""
        self._text = f"{user}{self.host}/{self.database}"

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Address({self._text!r})"

    def conninfo(self, **settings: str | int) -> str:
        """For psycopg; what the URL says comes before `settings`. It holds the password: never to be shown."""
        return make_conninfo("", **{**settings, **self._settings})

    def redacted(self, text: str) -> str:
        """`text` without any password of ours in it."""
        for secret in sorted({*self._secrets, *map(unquote, self._secrets)}, key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return text


def _parsed(url: str) -> dict[str, str | int | None]:
    if "#" in url or any(map(str.isspace, url)):
        raise ValueError(
            "the database's URL must not have spaces or # in it; in a password write %20 and %23, "
            f"and likewise %2F for /, %40 for @, %3A for :, %25 for %, %3F for ?: {FORM}"
        )
    try:
        found = dict(conninfo_to_dict(url))
        ports = [int(port) for port in str(found.get("port") or "5432").split(",") if port]
        timeout = found.get("connect_timeout")
        int(str(timeout if timeout is not None else 0))
    except psycopg.Error as error:
        # What psycopg says may quote a piece of the password.
        name = str(error).partition("URI query parameter: ")[2].strip()
        reason = f"it has the parameter {name}, which PostgreSQL does not know" if name else "PostgreSQL cannot read it"
        raise ValueError(
            f"the database's URL is not right: {reason}; write {FORM}, and in a password "
            "%2F for /, %40 for @, %3A for :, %25 for %, %3F for ?"
        ) from None
    except ValueError:
        raise ValueError(
            f"the database's URL has a port or a connect_timeout that is no whole number: {FORM}"
        ) from None
    if not all(0 < port < 65536 for port in ports):
        raise ValueError(f"the database's URL must have a port of 1 to 65535: {FORM}")
    return found
