"""The Deepgram account: where it connects, what its errors mean, and that its key is shown nowhere."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.sockets import run
from voice import deepgram
from voice.backoff import Backoff
from voice.deepgram import BASE_URL, KEY, Account, check, failure
from voice.provider_error import Cause, ProviderError
from voice.realtime.deepgram import DeepgramAgent
from voice.realtime.session import Instructions
from voice.stt import deepgram_line
from voice.stt.deepgram import Deepgram as Nova
from voice.stt.deepgram_flux import DeepgramFlux
from voice.stt.recognizer import Hints, SpeechRecognizer
from voice.tts.deepgram import Deepgram as Aura

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


async def connected(base_url: str, seconds: float | None = None) -> ProviderError:
    """What it says of a connection that fails."""
    account = Account(SECRET, base_url)
    await account.prepare("acme")
    connecting = account.client("acme").listen.v1.connect(model="nova-3")
    try:
        async with deepgram.connected("acme", connecting, seconds) as socket:
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
        (402, Cause.KEY, "credit"),
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


# -- connecting


@asynccontextmanager
async def mute(says: bytes = b"") -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A server that takes connections and says nothing, or this and no more; where it is, and if it has taken one."""
    held: list[asyncio.StreamWriter] = []
    taken = asyncio.Event()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        taken.set()
        if says:
            writer.write(says)
            writer.write_eof()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listening:
        yield f"//127.0.0.1:{listening.sockets[0].getsockname()[1]}", taken
        for writer in held:
            writer.transport.abort()
        while deepgram._leaving:
            await asyncio.sleep(0)


async def listen(account: Account) -> None:
    await heard(Nova(base_url=account.base_url, api_key=SECRET))


async def listen_flux(account: Account) -> None:
    await heard(DeepgramFlux(base_url=account.base_url, api_key=SECRET))


async def heard(recognizer: SpeechRecognizer) -> None:
    stream = recognizer.stream(Hints())
    stream.begin()
    async for _ in stream:
        pass


async def speak(account: Account) -> None:
    async for _ in Aura(base_url=account.base_url, api_key=SECRET).synthesize("Hello."):
        pass


async def talk(account: Account) -> None:
    await DeepgramAgent(base_url=account.base_url, api_key=SECRET, connect=deepgram.CONNECT).open(Instructions())


BOUND = 5.0
"""Seconds; websockets by itself would take 10."""


@pytest.mark.parametrize("use", [listen, listen_flux, speak, talk])
def test_the_certificates_are_read_once_and_not_in_the_loop(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[Account], Awaitable[None]]
) -> None:
    """It takes 45 ms, in which nobody hears anything."""
    where_read: list[threading.Thread] = []
    make = ssl.create_default_context

    def noted(*args: Any, **options: Any) -> ssl.SSLContext:
        where_read.append(threading.current_thread())
        return make(*args, **options)

    async def scene() -> None:
        async with mute(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (where, taken):
            account = Account(SECRET, f"https:{where}")
            await account.prepare("acme")
            known = len(where_read)
            with pytest.raises(ProviderError, match="does not speak TLS"):
                await use(account)
            assert taken.is_set()
            assert len(where_read) - known <= 1  # of the HTTP client that the SDK makes for each account
        assert threading.main_thread() not in where_read

    monkeypatch.setattr(ssl, "create_default_context", noted)
    monkeypatch.setattr(deepgram_line, "AGAIN", Backoff(tries=2, first=0.01))
    run(scene())


@pytest.mark.parametrize("use", [listen, listen_flux, speak, talk])
def test_a_server_that_never_shakes_hands_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[Account], Awaitable[None]]
) -> None:
    monkeypatch.setattr(deepgram, "CONNECT", 0.02)
    monkeypatch.setattr(deepgram_line, "AGAIN", Backoff(tries=1))

    async def scene() -> ProviderError:
        async with mute() as (where, _):
            account = Account(SECRET, f"http:{where}")
            await account.prepare("acme")
            with pytest.raises(ProviderError) as caught:
                async with asyncio.timeout(BOUND):
                    await use(account)
            assert deepgram._leaving  # it was given up, and has not ended
        return caught.value

    error = run(scene())
    assert (error.cause, error.detail) == (Cause.TIMEOUT, "the connection was not open within 0.02 s")


def test_a_voice_that_nobody_reads_for_a_while_still_hears_pongs() -> None:
    """Else its connection would be given up: what is left of a text that was cut short waits for the next text."""

    async def speak_much(connection: ServerConnection) -> None:
        for _ in range(100):
            await connection.send(bytes(640))
        await connection.wait_closed()

    async def scene() -> None:
        async with serve(speak_much, "127.0.0.1", 0) as listening:
            account = Account(SECRET, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
            await account.prepare("acme")
            connecting = account.client("acme").speak.v1.connect(model="aura-2-thalia-en")
            async with deepgram.connected("acme", connecting) as socket:
                await (await socket._websocket.ping())

    run(scene(), BOUND)


def test_a_server_that_has_vanished_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word of it comes any more, not even that the connection is closed."""
    monkeypatch.setattr(deepgram, "PING", 0.02)
    monkeypatch.setattr(deepgram, "PONG", 0.05)
    monkeypatch.setattr(deepgram, "CLOSE", 0.05)

    async def vanish(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await noticed.wait()
        connection.transport.abort()

    async def scene() -> ProviderError:
        async with serve(vanish, "127.0.0.1", 0) as listening:
            error = await connected(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
            noticed.set()
            return error

    noticed = asyncio.Event()

    assert run(scene(), BOUND).cause is Cause.NETWORK


def test_whoever_gives_up_a_connection_waits_for_nothing() -> None:
    async def scene() -> None:
        async with mute() as (where, taken):
            giving_up = asyncio.create_task(connected(f"http:{where}"))
            await taken.wait()
            giving_up.cancel()
            async with asyncio.timeout(BOUND):
                await asyncio.wait([giving_up])
            assert giving_up.cancelled()
            assert [connecting.done() for connecting in deepgram._leaving] == [False]

    run(scene())


def test_one_that_opens_in_the_moment_in_which_it_is_given_up_is_dropped() -> None:
    """The task that waits is cancelled when the other has just come to its end."""

    class Transport:
        aborted = False

        def abort(self) -> None:
            self.aborted = True

    transport = Transport()

    class Connecting(AbstractAsyncContextManager[Any]):
        async def __aenter__(self) -> Any:
            givers_up[0].cancel()
            return SimpleNamespace(_websocket=SimpleNamespace(transport=transport))

        async def __aexit__(self, *_: object) -> None:
            raise AssertionError("nobody entered it")

    async def enter() -> None:
        async with deepgram.connected("acme", Connecting()):
            raise AssertionError("it was given up")

    async def scene() -> None:
        givers_up.append(asyncio.create_task(enter()))
        await asyncio.wait(givers_up)
        assert givers_up[0].cancelled()
        await asyncio.sleep(0)
        assert transport.aborted
        assert not deepgram._leaving

    givers_up = list[asyncio.Task[None]]()
    run(scene())


def test_what_goes_wrong_while_it_is_used_is_raised_as_it_is() -> None:
    async def scene() -> None:
        async with server() as url:
            account = Account(SECRET, url)
            await account.prepare("acme")
            connecting = account.client("acme").listen.v1.connect(model="nova-3")
            with pytest.raises(KeyError):
                async with deepgram.connected("acme", connecting):
                    raise KeyError("mine")

    run(scene())


def test_a_name_that_is_looked_up_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", hang)
    assert run(connected("http://far.example", 0.02), BOUND).cause is Cause.TIMEOUT


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", unknown)
    error = run(connected("http://nobody.example"))
    assert (error.cause, error.detail) == (Cause.NETWORK, "cannot be reached: its name is not known (gaierror)")
    assert BASE_URL in error.fix
    assert SECRET not in shown(error, caplog)


def test_tls_with_a_server_that_speaks_none(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> ProviderError:
        async with mute(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (where, _):
            return await connected(f"https:{where}")

    error = run(scene())
    assert error.cause is Cause.NETWORK
    assert "it does not speak TLS as it should" in error.detail
    assert SECRET not in shown(error, caplog)


def test_no_tls_with_a_server_that_wants_it(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> ProviderError:
        async with mute(b"\x15\x03\x03\x00\x02\x02\x46\n") as (where, _):  # a TLS alert: what came is no TLS
            return await connected(f"http:{where}")

    caplog.set_level(logging.DEBUG)
    error = run(scene())
    assert error.cause is Cause.NETWORK
    assert "is it an https:// one?" in error.detail
    assert SECRET not in shown(error, caplog)


def test_a_certificate_that_nobody_vouches_for() -> None:
    error = failure("acme", ssl.SSLCertVerificationError(1, SECRET))
    assert "its certificate is not trusted" in str(error)
    assert SECRET not in str(error)


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
