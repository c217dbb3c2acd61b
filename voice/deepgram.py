"""A Deepgram account: its key, where its servers are, one client an event loop, and what its errors mean.

Shared by the recognisers, the synthesizer and the voice agent; the SDK is imported by `prepare`, in a thread. The key
is in no repr, no error and no log: the SDK puts request headers into its ApiError, which is why none of its errors is
ever shown or chained, and masks the key in the log of `websockets`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import re
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from voice.check import Check
from voice.provider_error import Cause, ProviderError

if TYPE_CHECKING:
    from deepgram import AsyncDeepgramClient

S = TypeVar("S")

log = logging.getLogger("sottovoce.deepgram")

KEY = "DEEPGRAM_API_KEY"
BASE_URL = "DEEPGRAM_BASE_URL"
CONNECT = 4.0
"""Seconds in which a connection must be open: a caller is waiting."""
CLOSE = 1.0
"""Seconds that the server has to close its end."""
PING, PONG = 5.0, 10.0
"""Seconds between two pings, and for an answer. Of a voice agent, and of what is idle, only this tells when the server
has vanished; by default after 40 s."""
UNREAD = 4096
"""Messages of a voice that may wait to be read. By default 32: with that many of a text that was cut short, the socket
would read no pong either, and be given up while it waits for the next text."""
INSTALL = "pip install 'sottovoce[deepgram]'"
_URL = re.compile(r"(?:http|ws)s?://[^\s/?#@]+(?:/[^\s?#]*)?")
URL_FIX = "give one like https://api.deepgram.com, without user or query"
_OFFICIAL = "https://api.deepgram.com"
_OFFICIAL_AGENT = "https://agent.deepgram.com"


class Account:
    """`api_key`: None takes DEEPGRAM_API_KEY of the environment, when it is needed. `base_url`: where a server of one's
    own is, or a proxy ("http://localhost:9000"); None takes DEEPGRAM_BASE_URL, or Deepgram's own.

    Raises ValueError for what is no URL.
    """

    def __init__(self, api_key: str | None = None, base_url: str | None = None) -> None:
        if base_url is not None and not _URL.fullmatch(base_url):
            raise ValueError(f"base_url: it is no URL; {URL_FIX}")
        self._key = api_key
        self._base = base_url
        self._client: AsyncDeepgramClient | None = None

    def __repr__(self) -> str:
        return f"Account(base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Where its servers are."""
        return (self._base or os.environ.get(BASE_URL) or _OFFICIAL).rstrip("/")

    async def prepare(self, name: str) -> None:
        """Import the SDK (0.7 s) and read the certificates (0.1 s), in a thread. Raises ProviderError naming what is
        missing."""
        if self._client is None:
            await asyncio.to_thread(self._make_ready, name)

    def _make_ready(self, name: str) -> None:
        self.client(name)
        _tls()

    def client(self, name: str) -> AsyncDeepgramClient:
        """The SDK's client. `name` is what errors call the provider. Raises ProviderError for a missing key."""
        if self._client is None:
            sdk = _sdk(name)
            key = self._key or os.environ.get(KEY)
            if not key:
                raise ProviderError(name, Cause.KEY, "no key is set", fix=f"set {KEY}")
            if not _URL.fullmatch(self.base_url):
                raise ProviderError(name, Cause.REQUEST, f"what {BASE_URL} holds is no URL", fix=URL_FIX)
            base, agent = self.base_url, self.base_url if self.base_url != _OFFICIAL else _OFFICIAL_AGENT
            environment = sdk.DeepgramClientEnvironment(
                base=_http(base), production=_socket(base), agent=_socket(agent), agent_rest=_http(agent)
            )
            self._client = sdk.AsyncDeepgramClient(api_key=key, environment=environment)
        return self._client


def check(name: str, what: str) -> Check:
    """Whether the SDK is installed and a key is set. Imports nothing."""
    if find_spec("deepgram") is None:
        return Check(name, False, f"{what}: deepgram-sdk is not installed", INSTALL)
    if not os.environ.get(KEY):
        return Check(name, False, f"{what}: no key", f"set {KEY}")
    base = os.environ.get(BASE_URL)
    if base and not _URL.fullmatch(base):
        return Check(name, False, f"{what}: what {BASE_URL} holds is no URL", URL_FIX)
    where = f" at {base}" if base else ""
    return Check(name, True, f"{what}{where}, with the key in {KEY}")


@asynccontextmanager
async def connected(
    name: str, connecting: AbstractAsyncContextManager[S], seconds: float | None = None
) -> AsyncIterator[S]:
    """A connection of the SDK's, open within `seconds` (None: CONNECT) and closed within CLOSE, then dropped.

    `name` is what errors call the provider. Raises ProviderError when it cannot be opened; what goes wrong while it is
    used is raised as it is.
    """
    limit = CONNECT if seconds is None else seconds
    try:
        opened = await _enter(connecting, limit)
    except TimeoutError:
        raise ProviderError(name, Cause.TIMEOUT, f"the connection was not open within {limit:g} s") from None
    except Exception as error:
        raise failure(name, error) from None
    try:
        yield opened
    finally:
        # The server may not answer; websockets would wait for 20 s, and cannot be told otherwise.
        leaving = asyncio.get_running_loop().call_later(CLOSE, abort, opened)
        try:
            await connecting.__aexit__(None, None, None)
        except Exception as error:
            log.debug("%s: a connection broke as it was closed: %s", name, failure(name, error))
        finally:
            leaving.cancel()
            abort(opened)


async def _enter(connecting: AbstractAsyncContextManager[S], seconds: float) -> S:
    """Connect, in time. What is given up takes websockets 10 s more to end, for which nobody waits."""
    entering = asyncio.ensure_future(connecting.__aenter__())
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(entering)
    except BaseException:
        if not entering.done() or (not entering.cancelled() and entering.exception() is None):
            _leaving.add(entering)
            entering.add_done_callback(_left)
            entering.cancel()
        raise


_leaving: set[asyncio.Future[Any]] = set()
"""Connections that were given up before they were open, until they have ended."""


def _left(entering: asyncio.Future[Any]) -> None:
    _leaving.discard(entering)
    if not entering.cancelled() and entering.exception() is None:
        abort(entering.result())  # it was open in the same moment


def abort(opened: Any) -> None:
    """Drop the connection at once. The SDK has no way to do so; the socket of `websockets` below it has."""
    transport = getattr(getattr(opened, "_websocket", None), "transport", None)
    if transport is not None:
        transport.abort()


def unlogged(opened: Any) -> None:
    """Have `websockets` log none of its messages, as it does at DEBUG: there are keys in what is said to it."""
    connection: Any = getattr(opened, "_websocket", None)
    old_or_new: list[Any] = [connection, getattr(connection, "protocol", None)]
    for each in old_or_new:
        if hasattr(each, "debug"):
            each.debug = False


def failure(name: str, error: BaseException) -> ProviderError:
    """What an error of the SDK, or of the sockets below it, means. Raise it `from None`."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake

    if isinstance(error, ProviderError):
        return error
    status = getattr(error, "status_code", None)
    if isinstance(status, int):  # the SDK's ApiError, or the one of websockets that it hides
        below = error.__context__ or error
        headers = getattr(below, "headers", None) or {}
        fix = {401: f"check {KEY}", 402: f"check the credit of the account of {KEY}", 403: f"check {KEY}"}.get(
            status, ""
        )
        return ProviderError.of_status(name, status, "it refused the connection", headers=dict(headers), fix=fix)
    if isinstance(error, ConnectionClosed):
        close = error.rcvd
        return ProviderError(
            name, Cause.NETWORK, close.reason if close else "it broke off", status=close.code if close else None
        )
    if isinstance(error, TimeoutError):
        return ProviderError(name, Cause.TIMEOUT)
    if isinstance(error, OSError | EOFError | InvalidHandshake):
        detail = f"cannot be reached: {_why(error)} ({type(error).__name__})"
        return ProviderError(name, Cause.NETWORK, detail, fix=f"check the network and the base URL ({BASE_URL})")
    return ProviderError(name, Cause.ANSWER, type(error).__name__)


def _why(error: Exception) -> str:
    """What kept a connection from being opened, or broke it, in words; never its own, which may hold anything."""
    match error:
        case ssl.SSLCertVerificationError():
            return "its certificate is not trusted"
        case ssl.SSLError():
            return "it does not speak TLS as it should; is it an http:// one?"
        case socket.gaierror():
            return "its name is not known"
        case ConnectionRefusedError():
            return "nobody listens there"
        case OSError() | EOFError():
            return "the network, or the server, broke off"
    return "what answers there speaks no WebSocket; is it an https:// one?"


def _sdk(name: str) -> Any:
    """The SDK with what connecting needs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it still uses the old client of websockets
            import deepgram
            import deepgram.agent.v1.client
            import deepgram.listen.v1.client
            import deepgram.listen.v2.client
            import deepgram.speak.v1.client
    except ImportError:
        raise ProviderError(name, Cause.MISSING, "deepgram-sdk is not installed", fix=INSTALL) from None
    _connect_our_way(deepgram.listen.v1.client)
    _connect_our_way(deepgram.listen.v2.client)
    _connect_our_way(deepgram.speak.v1.client, max_queue=UNREAD)
    _connect_our_way(deepgram.agent.v1.client)
    return deepgram


def _connect_our_way(module: Any, **ours: Any) -> None:
    """Have a module of the SDK make its connections with options of ours, as it can be given none.

    Each would read all certificates anew, which stops the event loop for 45 ms (OpenSSL 3), and might agree to compress
    sound, which gets no smaller by that.
    """
    from websockets.legacy.client import connect

    def connecting(url: str, **options: Any) -> Any:
        if url.startswith("wss:"):
            options["ssl"] = _tls()
        options.update(ours, compression=None, ping_interval=PING, ping_timeout=PONG, close_timeout=CLOSE)
        return connect(url, **options)

    if getattr(module, "websockets_client_connect", None) is connect:  # else it has a transport of somebody else's
        module.websockets_client_connect = connecting


@functools.cache
def _tls() -> ssl.SSLContext:
    """What all connections have in common."""
    return ssl.create_default_context()


def _http(url: str) -> str:
    return re.sub(r"^ws", "http", url)


def _socket(url: str) -> str:
    return re.sub(r"^http", "ws", url)
