"""Anthropic: Claude, or any server that speaks the Messages API; by the official SDK, with nothing waiting for the end.

Closing the stream closes the request, so a caller who cuts in pays for no more words. The SDK (2 s) is imported by
`prepare`, in a thread. It makes one attempt: who retries or falls back is `FallbackModel`. No key is in a repr, an
error or a log, and no redirect is followed, as the key would go along.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from orchestration.models.anthropic_answer import Answer
from orchestration.models.anthropic_prices import PRICES, price_of
from orchestration.models.anthropic_request import TTLS, cached, messages_of, system_of, tools_of
from orchestration.models.model import Delta, Message, ToolSpec, Usage
from orchestration.usage import Price, charge
from voice.check import Check
from voice.provider_error import Cause, ProviderError

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

log = logging.getLogger("sottovoce.anthropic")

KEY = "ANTHROPIC_API_KEY"
BASE_URL = "ANTHROPIC_BASE_URL"
MODEL = "SOTTOVOCE_ANTHROPIC_MODEL"
DEFAULT_MODEL = "claude-haiku-5-5"
"""The fastest: a caller waits for its first word."""
INSTALL = "pip install 'sottovoce[anthropic]'"
CONNECT = 4.0
"""Seconds in which a connection must be open."""
READ = 30.0
"""Seconds without any event after which an answer is given up; the API sends pings while it thinks."""
MAX_TOKENS = 8_192
"""Most tokens of one answer, thoughts included: far more than is ever said at once, room for a worker's report."""
IDLE = 60.0
"""Seconds for which an unused connection is kept: turns come seconds apart, and a new one costs a TLS handshake."""
GRACE = 0.1
"""Seconds for which the end of a stream is waited for when the answer in it is over."""
EFFORTS = ("low", "medium", "high", "xhigh", "max")
_OFFICIAL = "https://api.anthropic.com"
_URL = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?")
_URL_FIX = f"give one like {_OFFICIAL}, without user or query"
_QUIET = {"claude-haiku-5-5": "disabled", "claude-sonnet-5-5": "between_tools"}
"""How models are told not to think first; others take "disabled"."""
_THINKERS = ("claude-opus-5-5", "claude-fable-5", "claude-mythos-5")
"""How the names of those begin that cannot be told, and refuse to be; and nobody who is takes an effort of _DEEP.
(https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting, November 2026)"""
_DEEP = ("xhigh", "max")
_CAUSES = {
    "authentication_error": Cause.KEY,
    "permission_error": Cause.KEY,
    "billing_error": Cause.KEY,
    "invalid_request_error": Cause.REQUEST,
    "not_found_error": Cause.REQUEST,
    "rate_limit_error": Cause.RATE,
    "overloaded_error": Cause.OVERLOAD,
    "timeout_error": Cause.TIMEOUT,
    "api_error": Cause.SERVER,
}
"""What goes wrong in the middle of an answer, whose HTTP status was 200."""


class Anthropic:
    """`model`: None takes SOTTOVOCE_ANTHROPIC_MODEL, or "claude-haiku-5-5", the fastest, for agents that talk; workers
    may want "claude-sonnet-5-5" or "claude-opus-5-5". `api_key`: None takes ANTHROPIC_API_KEY, when it is needed.
    `base_url`: another server of this API ("http://localhost:8080"); None takes ANTHROPIC_BASE_URL, or Anthropic's.

    `max_tokens` of an answer, thoughts included. `thinking`: True lets it think before it speaks, False has it not
    (claude-opus-5-5 always does); None is False for claude-haiku-5-5 without `effort`, as a caller waits, and for
    others what they do by themselves. `effort` ("low" to "max"): how much they think, and say. `temperature` (0 to 1)
    is refused by models since 4.7. `cache`: keep the prompt, the tools and the conversation cached for five minutes
    ("5m", or True) or an hour ("1h"); False: not at all. `timeout`: seconds without any event after which an answer is
    given up, and `connect` those in which a connection must be open. `prices`: US dollars for models that are not, or
    otherwise, in `anthropic_prices.PRICES`. Raises ValueError naming what is wrong.
    """

    remote = True
    """An agent that has it alone asks it again (`orchestration.models.given`)."""

    def __init__(
        self,
        model: str | None = None,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        max_tokens: int = MAX_TOKENS,
        temperature: float | None = None,
        thinking: bool | None = None,
        effort: str | None = None,
        cache: bool | str = True,
        timeout: float = READ,
        connect: float = CONNECT,
        prices: Mapping[str, Price] | None = None,
        name: str = "anthropic",
    ) -> None:
        if model is not None and (not isinstance(model, str) or not model.strip()):
            raise ValueError(f"model: {model!r:.60} is no name of a model; give one like {DEFAULT_MODEL!r}")
        if base_url is not None and not _URL.fullmatch(base_url):
            raise ValueError(f"base_url: it is no URL; {_URL_FIX}")
        if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
            raise ValueError(f"max_tokens: {max_tokens!r:.60} is no whole number above 0")
        if temperature is not None and not _within(temperature, 0, 1):
            raise ValueError(f"temperature: {temperature!r:.60} is no number from 0 to 1")
        if cache not in (True, False, *TTLS):
            raise ValueError(f"cache: {cache!r:.60} is none of True, False, '5m' and '1h'")
        for field, seconds in {"timeout": timeout, "connect": connect}.items():
            if not _within(seconds, 0, math.inf) or not 0 < seconds < math.inf:
                raise ValueError(f"{field}: {seconds!r:.60} is no number of seconds above 0")
        if not all(isinstance(price, Price) for price in (prices or {}).values()):
            raise ValueError("prices: give a Price for each model's name")
        self.name = name
        self._model, self._key, self._base = model, api_key, base_url
        self._max_tokens, self._temperature = max_tokens, temperature
        self._thinking, self._effort = thinking, effort
        _check_thinking(self.model, thinking, effort)
        self._ttl = "" if cache is False else cache if isinstance(cache, str) else "5m"
        self._timeout, self._connect = timeout, connect
        self._prices = {**PRICES, **(prices or {})}
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncAnthropic] = WeakKeyDictionary()
        self._uses: Counter[AsyncAnthropic] = Counter()
        """Answers that are being made by each client."""

    def __repr__(self) -> str:
        where = "" if self.base_url == _OFFICIAL else f", base_url={self.base_url!r}"
        return f"Anthropic({self.model!r}{where})"

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self._model or os.environ.get(MODEL) or DEFAULT_MODEL

    @property
    def base_url(self) -> str:
        """Where it is asked."""
        return (self._base or os.environ.get(BASE_URL) or _OFFICIAL).rstrip("/")

    @classmethod
    def check(cls) -> Check:
        """Whether the SDK is installed and a key is set. Imports nothing, asks nobody."""
        return cls().check_given()

    def check_given(self) -> Check:
        """What `check` says, of this one: with the model, the server and the key that it was given."""
        what = f"{self.model} by Anthropic's Messages API"
        if find_spec("anthropic") is None:
            return Check(self.name, False, f"{what}: the SDK is not installed", INSTALL)
        if not (self._key or os.environ.get(KEY)):
            return Check(self.name, False, f"{what}: no key", f"set {KEY}")
        if not _URL.fullmatch(self.base_url):
            return Check(self.name, False, f"{what}: what {BASE_URL} holds is no URL", _URL_FIX)
        where = "" if self.base_url == _OFFICIAL else f" at {self.base_url}"
        return Check(self.name, True, f"{what}{where}, with the key {'it was given' if self._key else f'in {KEY}'}")

    async def prepare(self) -> None:
        """Import the SDK, in a thread (2 s), and make the client. Raises ProviderError naming what is missing."""
        await self._client()

    async def aclose(self) -> None:
        """Close the connections of this event loop that are open, those of answers that are being made when these are
        over: another runtime may share it. It can be used again."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None and client not in self._uses:
            await client.close()

    def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Answer the conversation so far: text as it comes, then the calls, then what it cost.

        Raises ProviderError for whatever goes wrong, also for an answer that the model refuses or that is cut off in
        the middle of a call.
        """
        return self._answer(messages, prompt, tools)

    def write_json(
        self, messages: Sequence[Message], *, prompt: str = "", schema: Mapping[str, Any]
    ) -> AsyncGenerator[Delta, None]:
        """Answer in JSON of the shape of `schema`, an object's; what else a schema demands is for whoever reads it
        (`orchestration.models.structured`). Raises ProviderError."""
        return self._answer(messages, prompt, (), schema)

    # -- one request

    def _request(self, messages: Sequence[Message], prompt: str, tools: Sequence[ToolSpec]) -> dict[str, Any]:
        shown = messages_of(messages)
        system, offered = system_of(prompt), tools_of(tools, shown)
        if self._ttl:
            cached(self._ttl, tools=offered, system=system, messages=shown)
        request: dict[str, Any] = {"model": self.model, "max_tokens": self._max_tokens, "messages": shown}
        if system:
            request["system"] = system
        if offered:
            request["tools"] = offered
            if not tools:
                request["tool_choice"] = {"type": "none"}
        if thinking := self._how_it_thinks():
            request["thinking"] = {"type": thinking}
        if self._effort is not None:
            request["output_config"] = {"effort": self._effort}
        if self._temperature is not None:
            request["extra_body"] = {"temperature": self._temperature}  # the SDK has no argument for it any more
        return request

    def _how_it_thinks(self) -> str | None:
        if self._thinking is None:
            return "disabled" if self.model == DEFAULT_MODEL and self._effort is None else None
        return "adaptive" if self._thinking else _QUIET.get(self.model, "disabled")

    async def _answer(
        self,
        messages: Sequence[Message],
        prompt: str,
        tools: Sequence[ToolSpec],
        schema: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """The answer, whose request is closed whatever ends it."""
        request = self._request(messages, prompt, tools)
        async with self._lent() as client:
            if schema is not None:
                request.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": _shape(schema)}
            try:
                stream = await client.messages.create(**request, stream=True)
            except Exception as error:
                raise self._failure(error) from None
            answer, told = Answer(self.name, request["model"]), False
            try:
                events = aiter(stream)
                while not answer.over:
                    try:
                        brought = list(answer.take(await anext(events)))
                    except StopAsyncIteration:
                        raise ProviderError(self.name, Cause.NETWORK, "its answer broke off") from None
                    except Exception as error:
                        raise self._failure(error) from None
                    for delta in brought:
                        yield delta
                told = True
                yield self._priced(answer.usage())
                await self._read_out(events)
            finally:
                if answer.begun and not told:  # what was read, and made until then, is paid all the same
                    charge(self._priced(answer.usage()))
                await stream.close()

    async def _read_out(self, events: AsyncIterator[Any]) -> None:
        """Read the end behind the last event: only then can the connection be used again."""
        try:
            async with asyncio.timeout(GRACE):
                async for _ in events:
                    pass
        except Exception as error:  # the answer is whole, whatever comes behind it
            log.debug("%s: nothing ends its answer (%s)", self.name, type(error).__name__)

    def _priced(self, usage: Usage) -> Usage:
        price = price_of(usage.model, self._prices)
        return usage if price is None else replace(usage, cost=price.of(usage, hour=self._ttl == "1h"))

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[AsyncAnthropic]:
        """This event loop's client, for one answer. Raises what `_client` raises."""
        client = await self._client()
        self._uses[client] += 1
        try:
            yield client
        finally:
            self._uses[client] -= 1
            if not self._uses[client]:
                del self._uses[client]
                if client not in self._clients.values():  # it was closed meanwhile
                    await client.close()

    async def _client(self) -> AsyncAnthropic:
        """This event loop's client. Raises ProviderError for a missing SDK or key."""
        loop = asyncio.get_running_loop()
        if (client := self._clients.get(loop)) is None:
            key = self._key or os.environ.get(KEY)
            if not key:
                raise ProviderError(self.name, Cause.KEY, "no key is set", fix=f"set {KEY}")
            if not _URL.fullmatch(self.base_url):
                raise ProviderError(self.name, Cause.REQUEST, f"what {BASE_URL} holds is no URL", fix=_URL_FIX)
            made = await asyncio.to_thread(self._new_client, key)
            client = self._clients.setdefault(loop, made)  # another may have been quicker
        return client

    def _new_client(self, key: str) -> AsyncAnthropic:
        """In a thread: it reads the SDK and the certificates that it trusts from the disk."""
        sdk = _sdk(self.name)
        client: AsyncAnthropic = sdk.AsyncAnthropic(
            api_key=key,
            base_url=self.base_url,
            max_retries=0,
            timeout=sdk.Timeout(self._timeout, connect=self._connect),
            http_client=sdk.DefaultAsyncHttpxClient(
                limits=_limits(sdk.DEFAULT_CONNECTION_LIMITS), follow_redirects=False
            ),
        )
        return client

    def _failure(self, error: Exception) -> ProviderError:
        """What an error of the SDK means."""
        if isinstance(error, ProviderError):
            return error
        import anthropic

        match error:
            case anthropic.APIStatusError(status_code=status) if status >= 300:
                return ProviderError.of_status(
                    self.name, status, self._said(error), headers=dict(error.response.headers), fix=_fix(status)
                )
            case anthropic.APIStatusError():  # in the middle of the answer
                return ProviderError(self.name, _CAUSES.get(error.type or "", Cause.SERVER), self._said(error))
            case anthropic.APITimeoutError():
                return ProviderError(self.name, Cause.TIMEOUT)
            case anthropic.APIConnectionError():
                return ProviderError(self.name, Cause.NETWORK, f"{self.base_url} cannot be reached")
        if type(error).__name__.endswith("Timeout"):  # of its HTTP client, in the middle of the answer
            return ProviderError(self.name, Cause.TIMEOUT, f"nothing came for {self._timeout:g} s")
        if isinstance(error, OSError | EOFError) or type(error).__module__.startswith("httpx"):
            return ProviderError(self.name, Cause.NETWORK, f"its answer broke off ({type(error).__name__})")
        return ProviderError(self.name, Cause.ANSWER, f"its stream cannot be read ({type(error).__name__})")

    def _said(self, error: Any) -> str:
        """What the API says of an error. A proxy may say anything: a key in it is not passed on."""
        said = error.api_message if isinstance(error.api_message, str) else ""
        key = self._key or os.environ.get(KEY) or ""
        return said.replace(key, "...") if key else said


def _sdk(name: str) -> Any:
    """The SDK, with what the first request needs."""
    try:
        import anthropic
        import anthropic.resources.messages
    except ImportError:
        raise ProviderError(name, Cause.MISSING, "the SDK is not installed", fix=INSTALL) from None
    return anthropic


def _shape(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema as the API takes it, which knows shapes and no limits."""
    from anthropic import transform_schema

    return transform_schema({"type": "object", **schema})


def _limits(usual: Any) -> Any:
    """The SDK's limits of connections, with ours of how long one is kept."""
    return type(usual)(
        max_connections=usual.max_connections,
        max_keepalive_connections=usual.max_keepalive_connections,
        keepalive_expiry=IDLE,
    )


def _fix(status: int) -> str:
    if status in (401, 403):
        return f"check {KEY}"
    return f"check the model's name ({MODEL}) and {BASE_URL}" if status == 404 else ""


def _check_thinking(model: str, thinking: bool | None, effort: str | None) -> None:
    """Raises ValueError for what is none, and for what the model would refuse."""
    if thinking not in (None, True, False):
        raise ValueError(f"thinking: {thinking!r:.60} is none of True, False and None")
    if effort is not None and effort not in EFFORTS:
        raise ValueError(f"effort: {effort!r:.60} is none of {', '.join(EFFORTS)}")
    if thinking is False and effort in _DEEP:
        raise ValueError(f"effort: {effort!r} is refused without thinking; give 'high' or less, or thinking=True")
    if thinking is False and model.startswith(_THINKERS):
        raise ValueError(f"thinking: {model} always thinks; give effort='low' instead, or another model")


def _within(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


__all__ = ["BASE_URL", "CONNECT", "DEFAULT_MODEL", "KEY", "MAX_TOKENS", "MODEL", "READ", "Anthropic"]
