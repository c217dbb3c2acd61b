"""The Deepgram account: where it connects, what its errors mean, and that its key is shown nowhere."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.sockets import run
from voice.deepgram import BASE_URL, CONNECT, KEY, Account, check, failure
from voice.provider_error import Cause, ProviderError

SECRET = "dg-secret-4711"


@asynccontextmanager
async def server(status: int = 0, headers: dict[str, str] | None = None, close: int = 0) -> AsyncIterator[str]:
    """A local WebSocket server that refuses with `status`, or accepts and closes with `close`; its base URL."""

    def refuse(connection: ServerConnection, request: Request) -> Response | None:
        if not status:
            return None
        response = connection.respond(HTTPStatus(status), f"you sent {request.headers.get('Authorization')}")
        for name, value in (headers or {}).items():
            response.headers[name] = value
        return response

    async def handle(connection: ServerConnection) -> None:
        if close:
            await connection.close(close, "no more")
        await connection.wait_closed()

    async with serve(handle, "127.0.0.1", 0, process_request=refuse) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def connected(base_url: str, seconds: float = CONNECT) -> ProviderError:
    """What it says of a connection that fails."""
    account = Account(SECRET, base_url)
    await account.prepare("acme")
    try:
        async with asyncio.timeout(seconds), account.client("acme").listen.v1.connect(model="nova-3") as socket:
            async for _ in socket:
                pass
    except Exception as error:
        try:
            raise failure("acme", error) from None
        except ProviderError as known:
            return known
    raise AssertionError("nothing failed")


def shown(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    """All that anybody can see of it."""
    return "".join(traceback.format_exception(error)) + repr(vars(error)) + caplog.text


@pytest.mark.parametrize(
    ("status", "cause", "fix"),
    [
        (401, Cause.KEY, f"check {KEY}"),
        (403, Cause.KEY, f"check {KEY}"),
        (404, Cause.REQUEST, ""),
        (429, Cause.RATE, "higher limit"),
        (500, Cause.SERVER, "status page"),
        (503, Cause.OVERLOAD, "second provider"),
    ],
)
def test_a_refused_connection(status: int, cause: Cause, fix: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> ProviderError:
        async with server(status, {"Retry-After": "7"}) as url:
            return await connected(url)

    caplog.set_level(logging.DEBUG)
    error = run(scene())
    assert (error.provider, error.cause, error.status) == ("acme", cause, status)
    assert error.retry_after == (7.0 if status in (429, 503) else None)
    assert fix in error.fix
    assert SECRET not in shown(error, caplog)


def test_a_connection_that_is_closed_says_with_what(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> ProviderError:
        async with server(close=1011) as url:
            return await connected(url)

    error = run(scene())
    assert (error.cause, error.status, error.detail) == (Cause.NETWORK, 1011, "no more")
    assert SECRET not in shown(error, caplog)


def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> ProviderError:
        async with server() as url:
            pass  # it was there, and is no more
        return await connected(url)

    error = run(scene())
    assert error.cause is Cause.NETWORK
    assert "cannot be reached" in error.detail
    assert error.transient
    assert SECRET not in shown(error, caplog)


def test_a_server_that_never_answers() -> None:
    async def scene() -> ProviderError:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()  # until they give up
            writer.close()

        async with await asyncio.start_server(handle, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            return await connected(f"http://127.0.0.1:{port}", 0.05)

    assert run(scene()).cause is Cause.TIMEOUT


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TimeoutError(SECRET), Cause.TIMEOUT),
        (ConnectionResetError(SECRET), Cause.NETWORK),
        (EOFError(SECRET), Cause.NETWORK),
        (ValueError(SECRET), Cause.ANSWER),
        (KeyError(SECRET), Cause.ANSWER),
    ],
)
def test_other_errors_are_told_apart_without_their_text(error: Exception, cause: Cause) -> None:
    known = failure("acme", error)
    assert known.cause is cause
    assert SECRET not in str(known)
    assert failure("other", known) is known


# -- options


def test_no_key_is_an_error_that_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(ProviderError, match=f"acme: key refused; no key is set; fix: set {KEY}"):
        run(Account().prepare("acme"))


def test_the_environment_is_looked_at_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(BASE_URL, "http://localhost:9000/")
    assert account.base_url == "http://localhost:9000"
    assert Account(base_url="https://mine.example").base_url == "https://mine.example"
    assert account.client("acme") is account.client("acme")
    assert SECRET not in repr(account)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:9000",
        "ftp://x",
        "https://",
        "https://user:pass@x",
        "https://x?key=1",
        "https://x#y",
        "https://a b",
    ],
)
def test_what_is_no_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="base_url: it is no URL") as error:
        Account(base_url=url)
    assert "pass" not in str(error.value)


def test_a_url_from_the_environment_is_checked_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(BASE_URL, "https://user:hidden@x")
    with pytest.raises(ProviderError, match=BASE_URL) as error:
        Account().client("acme")
    assert "hidden" not in str(error.value)


def test_doctor_learns_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    assert check("acme", "speech to text") == check("acme", "speech to text")
    without = check("acme", "speech to text")
    assert (without.usable, without.fix) == (False, f"set {KEY}")
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.delenv(BASE_URL, raising=False)
    there = check("acme", "speech to text")
    assert there.usable
    assert SECRET not in repr(there)
    monkeypatch.setenv(BASE_URL, "https://user:hidden@x")
    wrong = check("acme", "speech to text")
    assert not wrong.usable
    assert "hidden" not in repr(wrong)
    monkeypatch.setattr("voice.deepgram.find_spec", lambda name: None)
    missing = check("acme", "speech to text")
    assert not missing.usable
    assert "pip install" in missing.fix


def test_a_missing_package_is_an_error_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    modules: Any = sys.modules
    monkeypatch.setitem(modules, "deepgram", None)
    with pytest.raises(ProviderError, match="acme: not installed; deepgram-sdk is not installed; fix: pip install"):
        run(Account(SECRET).prepare("acme"))
