"""A private PostgreSQL server for tests and benches: its own directory, port and password, gone at the end.

    with server() as postgres:                 # in a test: the fixture `postgres_server`, one for the whole session
        url = postgres.fresh()                 # an empty database; in a test: the fixture `postgres_url`
        ...                                    # the URL may be given to other processes
        postgres.kill()                        # as a power cut would; `stop`, `freeze` and `away` are gentler
        postgres.start()                       # the same port and databases again

It is the real server, started from Debian's binaries (or those in $SOTTOVOCE_POSTGRES, or pg_ctl's on the path), with
a real server's settings: a commit that returned is on the disk. PostgreSQL refuses to run as root, so root starts it
as `postgres` or `nobody`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
USER = "sottovoce"
"""Who the tests are: no superuser, as one should be."""
PASSWORD = "sotto voce: 50% & more"
"""Ours and the superuser's: with all that must be quoted in a URL."""
QUOTED = "sotto%20voce%3A%2050%25%20%26%20more"
PATIENCE = 30.0
"""Seconds a server may take to start or to stop."""

_WATCHED = """
exec 3<&0
{ read -r over <&3 || kill -QUIT $$; } &
exec 3<&- 0</dev/null
exec "$@"
"""
"""Ends the server when whoever started it dies without a word (kill -9): then its standard input is closed."""


def binaries() -> Path | None:
    """The directory of PostgreSQL's programs; None where there is none."""
    given = os.environ.get("SOTTOVOCE_POSTGRES")
    if given:
        return Path(given)
    debian = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if debian:
        return max(debian, key=lambda path: int("".join(filter(str.isdigit, path.parent.name)) or 0))
    found = shutil.which("pg_ctl")
    return None if found is None else Path(found).resolve().parent


def missing() -> str | None:
    """Why there can be no server here, and how to get one; None if there can."""
    if os.name != "posix":
        return "the tests know how to start PostgreSQL on Linux and macOS only"
    found = binaries()
    if found is None:
        return "no PostgreSQL was found: apt-get install postgresql, or set SOTTOVOCE_POSTGRES to its bin directory"
    if not (found / "initdb").exists():
        return f"no PostgreSQL server is in {found}: set SOTTOVOCE_POSTGRES to the bin directory of one"
    return None


class Server:
    """A PostgreSQL server in `directory`. `port` stays the same when it is stopped and started again."""

    def __init__(self, directory: Path) -> None:
        found = binaries()
        if found is None:
            raise RuntimeError(missing())
        self._bin = found
        self._data = directory / "data"
        self._log = directory / "log"
        self._as = _account()
        self._numbers = itertools.count(1)
        self._spare: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        if self._as:
            os.chown(directory, self._as["user"], self._as["group"])
        self._make(directory)

    def url(self, database: str, user: str = USER, password: str = QUOTED) -> str:
        """Where a database is."""
        return f"postgresql://{user}:{password}@{HOST}:{self.port}/{database}"

    @property
    def admin_url(self) -> str:
        """For the superuser."""
        return self.url("postgres", "postgres")

    def fresh(self) -> str:
        """The URL of an empty database, which is `USER`'s own."""
        if not self._spare:
            name = f"fresh_{next(self._numbers)}"
            self.run(f"CREATE DATABASE {name} OWNER {USER}")
            self._spare.append(self.url(name))
        return self._spare.pop()

    def empty(self, url: str) -> None:
        """Give back a database of `fresh`, whoever is still connected to it; emptied, it is used again (faster)."""
        self.terminate(url)
        superuser = self.url(url.rpartition("/")[2], "postgres")
        own = "nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
        for (name,) in self.run(f"SELECT quote_ident(nspname) FROM pg_namespace WHERE {own}", superuser):
            self.run(f"DROP SCHEMA {name} CASCADE", superuser)
        self.run(f"CREATE SCHEMA public AUTHORIZATION {USER}", superuser)
        self._spare.append(url)

    def run(self, sql: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """One statement as superuser (or as the user of `url`), in a transaction of its own."""
        import psycopg

        with psycopg.connect(url or self.admin_url, autocommit=True, connect_timeout=10) as connection:
            done = connection.execute(sql.encode())
            return done.fetchall() if done.description else []

    def terminate(self, url: str) -> int:
        """End every connection to this database from the server's side. Returns how many there were."""
        name = url.rpartition("/")[2]
        return len(self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))

    # -- its life

    def start(self, **settings: str | int | bool) -> None:
        """Start it and wait until it answers. `settings` are the server's own (`fsync="off"`), for this time only."""
        from psycopg import OperationalError

        given = {"port": self.port, "listen_addresses": HOST, "unix_socket_directories": "", **settings}
        options = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        until = time.monotonic() + PATIENCE
        while True:
            with self._log.open("ab") as log:
                command = ["sh", "-c", _WATCHED, "sh", str(self._bin / "postgres"), "-D", str(self._data), *options]
                self._process = subprocess.Popen(
                    command,
                    cwd=self._data,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    **self._as,
                )
            while self._process.poll() is None:
                with contextlib.suppress(OperationalError):
                    self.run("SELECT 1")
                    return
                self._in_time(until, "start")
            # Killed a moment ago: what is left of it must go first.
            _let_go(self._process)
            self._in_time(until, "start")

    def stop(self) -> None:
        """Shut it down in an orderly way; whoever is connected is told so."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Make it crash: everyone is cut off, nothing is written any more; the next start recovers from its log."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Down for as long as the block runs."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Silent for as long as the block runs, as behind a cut cable: nobody answers, nobody hangs up. Linux only."""
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        pids = [main, *map(int, children)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _make(self, directory: Path) -> None:
        word = directory / "password"
        word.write_text(PASSWORD + "\n")
        if self._as:
            os.chown(word, self._as["user"], self._as["group"])
        made = subprocess.run(
            [
                *(str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres", "--pwfile", str(word)),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            **self._as,
        )
        word.unlink()
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr}")
        self.start()
        self.run(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{PASSWORD}'")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"the server did not stop within {PATIENCE:g} s: {self._log.read_text()}") from None
        finally:
            _let_go(process)

    def _in_time(self, until: float, what: str) -> None:
        if time.monotonic() > until:
            raise RuntimeError(f"the server did not {what} within {PATIENCE:g} s: {self._log.read_text()}")
        time.sleep(0.02)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server that is there for the block. Raises RuntimeError where there can be none (see `missing`)."""
    with tempfile.TemporaryDirectory(prefix="sottovoce-postgres-", ignore_cleanup_errors=True) as directory:
        one = Server(Path(directory))
        try:
            yield one
        finally:
            one.stop()


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """It is over: nobody needs to watch over it any more."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"\n")
            process.stdin.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _account() -> dict[str, Any]:
    """Whose the server's process is, for Popen: our own, unless we are root."""
    if os.getuid() != 0:
        return {}
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid}
    raise RuntimeError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
