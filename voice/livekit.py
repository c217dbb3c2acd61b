"""LiveKit's plugins outside of LiveKit: what they expect to find around them, how they are closed, what they fail of.

Shared by the wrappers of recognisers, synthesizers, language models and speech-to-speech models. Whoever hands us a
plugin has imported `livekit.agents` (3 s) himself, so nothing here needs to load it off the loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar
from weakref import WeakKeyDictionary

from voice.check import Check
from voice.provider_error import Cause, ProviderError, cause_of

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from livekit.agents import APIConnectOptions
    from livekit.agents.llm import RawFunctionTool

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("sottovoce.livekit")

CONNECT = 4.0
"""Seconds in which a plugin must have its connection: a caller is waiting."""
CLOSING = 2.0
"""Seconds that a plugin has for ending what it was at when it is stopped; then it is left to itself, and that is said
in the log."""
INSTALL = "pip install 'sottovoce[livekit]'"


class Closeable(Protocol):
    """A plugin's stream."""

    def __anext__(self) -> Any: ...
    async def aclose(self) -> None: ...


class Home:
    """Where a plugin lives: it finds an HTTP session, one an event loop, as it would in a job of LiveKit's.

    Plugins keep the session they are given; so they get one that stands for whichever is open in the running loop.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, ClientSession] = WeakKeyDictionary()

    def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it where the plugin is at home; so are the tasks that it starts."""
        return self._context().run(work, *args, **kwargs)

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Await it where the plugin is at home."""
        return await asyncio.get_running_loop().create_task(work, context=self._context())

    async def aclose(self, plugin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Close the plugin by its own `aclose`, and what it used in this loop. Doing it twice does nothing more."""
        try:
            await close(self.wait(plugin()), self._name)
        finally:
            if session := self._sessions.pop(asyncio.get_running_loop(), None):
                await session.close()

    def session(self) -> ClientSession:
        """The session of the running loop."""
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            from aiohttp import ClientSession, TCPConnector

            # a hundred at once is aiohttp's limit, and every caller holds a connection of a recogniser
            session = self._sessions[loop] = ClientSession(connector=TCPConnector(limit=0))
        return session

    def _context(self) -> contextvars.Context:
        from livekit.agents.utils import http_context

        context = contextvars.copy_context()
        if context.get(http_context._ContextVar) is None:  # in a job of LiveKit's the job's own session is there
            context.run(http_context._ContextVar.set, lambda: _Session(self))  # type: ignore[arg-type, return-value]
        return context


class _Session:
    """Stands for the session of the running loop."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def __getattr__(self, name: str) -> Any:
        return getattr(self._home.session(), name)


def named(plugin: Any, what: str, *methods: str) -> str:
    """What to call a plugin. Raises TypeError when it is none: when it lacks `methods`, or is a class."""
    if inspect.isclass(plugin) or not all(callable(getattr(plugin, method, None)) for method in methods):
        given = f"the class {plugin.__name__}" if inspect.isclass(plugin) else type(plugin).__name__
        raise TypeError(f"{what}: give an object of a class of LiveKit's or of a plugin's, not {given}")
    provider = plugin.provider
    return f"livekit:{provider if provider and provider != 'unknown' else plugin.label}"


def at_once(timeout: float) -> APIConnectOptions:
    """For one try and no more: who tries again, and with whom, is decided elsewhere."""
    from livekit.agents import APIConnectOptions

    return APIConnectOptions(max_retry=0, retry_interval=0.0, timeout=timeout)


def seconds(name: str, value: float) -> float:
    """`value` itself. Raises ValueError for what is no length of time."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be seconds > 0, not {value!r}")
    return value


def function(name: str, description: str, schema: Mapping[str, Any]) -> RawFunctionTool[Any, Any]:
    """A function that a model may call, by its schema alone: the plugin never runs it."""
    from livekit.agents.llm import function_tool

    async def run(raw_arguments: dict[str, object]) -> None:
        raise NotImplementedError(f"{name}: it is run by the runtime, not by the plugin")

    return function_tool(run, raw_schema={"name": name, "description": description, "parameters": dict(schema)})


async def stop(stream: Closeable, name: str) -> None:
    """End a plugin's stream, and its request with it; nothing of it is left running."""
    await close(stream.aclose(), name)
    with suppress(Exception):  # its error, if nobody has asked for it: asyncio would show it, and what is in it, later
        await stream.__anext__()


async def close(work: Awaitable[None], name: str) -> None:
    """End something of a plugin's by awaiting `work`, in time. That it had failed before is no news."""
    try:
        async with asyncio.timeout(CLOSING):
            await work
    except TimeoutError:
        log.warning("%s does not stop when it is told to", name)
    except Exception as error:
        log.debug("%s stops with %s", name, type(error).__name__)


def check(name: str, what: str) -> Check:
    """Whether the framework is installed. Imports nothing."""
    try:
        found = find_spec("livekit.agents")
    except ModuleNotFoundError:
        found = None
    if found is None:
        return Check(name, False, f"{what}: livekit-agents is not installed", INSTALL)
    return Check(name, True, f"{what}: any plugin of LiveKit's that is given to it")


def failure(name: str, error: BaseException) -> ProviderError:
    """What an error of a plugin means. Raise it `from None`: plugins put bodies, URLs and headers into theirs."""
    from aiohttp import ClientError, ClientResponseError
    from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    kind = type(error).__name__
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, APIStatusError):
        if 400 <= error.status_code < 600:
            below = getattr(error.__cause__, "response", None)  # of the vendor's SDK, under the plugin
            return ProviderError.of_status(name, error.status_code, headers=getattr(below, "headers", None))
        cause = Cause.NETWORK if 1000 <= error.status_code < 5000 else _cause(error.retryable)  # a WebSocket's close
        return ProviderError(name, cause, kind, status=error.status_code if error.status_code > 0 else None)
    if isinstance(error, APITimeoutError | TimeoutError):
        return ProviderError(name, Cause.TIMEOUT)
    if isinstance(error, ClientResponseError):
        return ProviderError(name, cause_of(error.status), status=error.status)
    if isinstance(error, APIConnectionError | ClientError | OSError | EOFError):
        return ProviderError(name, Cause.NETWORK, f"cannot be reached, or broke off ({kind})")
    if isinstance(error, APIError):
        return ProviderError(name, _cause(error.retryable), kind)
    return ProviderError(name, Cause.ANSWER, kind)


def _cause(retryable: bool) -> Cause:
    return Cause.SERVER if retryable else Cause.REQUEST
