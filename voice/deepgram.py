"""A Deepgram account: its key, where its servers are, one client an event loop, and what its errors mean.

Shared by the recognisers, the synthesizer and the voice agent; the SDK is imported by `prepare`, in a thread. The key
is in no repr, no error and no log: the SDK puts request headers into its ApiError, which is why none of its errors is
ever shown or chained, and masks the key in the log of `websockets`.
"""

from __future__ import annotations

import asyncio
import os
import re
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from voice.check import Check
from voice.provider_error import Cause, ProviderError

if TYPE_CHECKING:
    from deepgram import AsyncDeepgramClient

KEY = "DEEPGRAM_API_KEY"
BASE_URL = "DEEPGRAM_BASE_URL"
CONNECT = 4.0
"""Seconds in which a connection must be open: a caller is waiting."""
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
        """Import the SDK, in a thread (0.7 s). Raises ProviderError naming what is missing."""
        self.client(name, _imported=await asyncio.to_thread(_sdk, name))

    def client(self, name: str, *, _imported: Any = None) -> AsyncDeepgramClient:
        """The SDK's client. `name` is what errors call the provider. Raises ProviderError for a missing key."""
        if self._client is None:
            sdk = _imported or _sdk(name)
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


def failure(name: str, error: BaseException) -> ProviderError:
    """What an error of the SDK, or of the sockets below it, means. Raise it `from None`."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake

    if isinstance(error, ProviderError):
        return error
    status = getattr(error, "status_code", None)
    if isinstance(status, int):  # the SDK's ApiError, or the one of websockets that it hides
        below = error.__context__ or error
        headers = getattr(below, "headers", None) or {}
        fix = f"check {KEY}" if status in (401, 403) else ""
        return ProviderError.of_status(name, status, "it refused the connection", headers=dict(headers), fix=fix)
    if isinstance(error, ConnectionClosed):
        close = error.rcvd
        return ProviderError(
            name, Cause.NETWORK, close.reason if close else "it broke off", status=close.code if close else None
        )
    if isinstance(error, TimeoutError):
        return ProviderError(name, Cause.TIMEOUT)
    if isinstance(error, OSError | EOFError | InvalidHandshake):
        return ProviderError(name, Cause.NETWORK, f"cannot be reached ({type(error).__name__})")
    return ProviderError(name, Cause.ANSWER, type(error).__name__)


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
    return deepgram


def _http(url: str) -> str:
    return re.sub(r"^ws", "http", url)


def _socket(url: str) -> str:
    return re.sub(r"^http", "ws", url)
