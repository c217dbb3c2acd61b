"""Deepgram's Voice Agent as a speech-to-speech model: it hears, thinks with a language model, and speaks.

A session is one WebSocket, opened once: it is not opened anew, as the talk would be lost on the other side. Of its own
it has one task, which ends with it. The caller's sound goes out as it comes and is never waited for; where the network
takes none of it for some seconds, the session is lost. See `deepgram_talk` for what the server's messages mean.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voice import deepgram
from voice.channel import Capabilities
from voice.check import Check
from voice.deepgram import CONNECT, Account, connected
from voice.provider_error import Cause, ProviderError
from voice.realtime import deepgram_messages as messages
from voice.realtime.deepgram_messages import Pipeline
from voice.realtime.deepgram_talk import Talk, Unusable, masked
from voice.realtime.session import Injection, Instructions, SessionEvent
from voice.realtime.unread import Unread

if TYPE_CHECKING:
    from deepgram.agent.v1.socket_client import AsyncV1SocketClient

    from voice.realtime.deepgram_messages import Outgoing

log = logging.getLogger("sottovoce.realtime")

READY = 5.0
"""Seconds from the open connection to `SettingsApplied`: it loads its models meanwhile."""
KEEP_ALIVE = 8.0
"""Seconds without anything sent after which it is told that we are there (Deepgram asks for it at least that often)."""
MAX_UNSENT = 30.0
"""Seconds of the caller's sound that may wait to be sent: a new session is given a whole turn at once."""
STALL = 5.0
"""Seconds in which the network must take a message."""
MAX_UNREAD = 512
"""Events that may wait to be read, before the network has to wait."""
MAX_TEXT = 25_000
"""Characters of a prompt (Deepgram's limit for the models it runs), of a line and of a function's result."""
_BYTES_A_SECOND = 32_000


class DeepgramAgent:
    """`listen`: a Deepgram model that hears ("nova-3"; "flux-general-en" ends turns by their meaning). `think`: the
    language model, of `think_provider` ("anthropic", "open_ai", "google", "groq", "deepgram"). `speak`: a Deepgram
    voice. `keyterms`: words it should know. `temperature`: of the language model; None: its own.

    `think_url`, `think_headers`: a language model of your own, with what Deepgram is to send to it (its key); None
    takes DEEPGRAM_THINK_URL and DEEPGRAM_THINK_HEADERS (a JSON object), or else it thinks by Deepgram's account.

    `connect`, `ready`: seconds to connect, and to settle. `api_key`, `base_url`: see `voice.deepgram.Account`.
    Raises ValueError for bad values.
    """

    name = "deepgram-agent"
    capabilities = Capabilities(owns_turns=True, injection=frozenset({"now", "idle", "queue"}))

    def __init__(
        self,
        *,
        listen: str = "nova-3",
        think: str = "claude-sonnet-5",
        think_provider: str = "anthropic",
        speak: str = "aura-2-thalia-en",
        language: str = "en",
        keyterms: Sequence[str] = (),
        temperature: float | None = None,
        think_url: str | None = None,
        think_headers: Mapping[str, str] | None = None,
        connect: float = CONNECT,
        ready: float = READY,
        api_key: str | None = None,
        base_url: str | None = None,
    ) -> None:
        for name, value in (("connect", connect), ("ready", ready)):
            if not 0 < value < float("inf"):
                raise ValueError(f"{name}: it must be seconds > 0, not {value!r}")
        self._pipeline = Pipeline(
            listen, think, think_provider, speak, language, keyterms, temperature, think_url, think_headers
        )
        self._connect, self._ready = connect, ready
        self._account = Account(api_key, base_url)

    def __repr__(self) -> str:
        at = self._pipeline
        return f"DeepgramAgent(listen={at.listen!r}, think={at.think!r}, speak={at.speak!r}, {self._account!r})"

    async def prepare(self) -> None:
        """Import the SDK, in a thread. Raises ProviderError for a missing package or key."""
        await self._account.prepare(self.name)

    async def open(self, instructions: Instructions) -> DeepgramSession:
        """Begin a talk. Raises ProviderError; ValueError for a prompt that is too long, or a bad environment."""
        _bounded("instructions.prompt", instructions.prompt)
        secrets = self._pipeline.secrets()
        await self.prepare()
        session = DeepgramSession(self._account, self._pipeline, self._connect, self._ready, secrets)
        try:
            await session.begin(instructions)
        except BaseException:
            await session.aclose()
            raise
        return session

    @classmethod
    def check(cls) -> Check:
        """Whether the SDK is installed and a key is set."""
        return deepgram.check(cls.name, "Deepgram's Voice Agent")


class DeepgramSession:
    """One talk. Iterate it once; see `voice.realtime.session.RealtimeSession` for what its methods promise."""

    def __init__(
        self, account: Account, pipeline: Pipeline, connect: float, ready: float, secrets: Sequence[str] = ()
    ) -> None:
        self._account, self._pipeline = account, pipeline
        self._connect, self._ready, self._secrets = connect, ready, secrets
        self._talk = Talk(DeepgramAgent.name, secrets)
        self._instructions = Instructions()
        self._events = Unread()
        self._error: ProviderError | None = None
        self._come = asyncio.Event()
        """There are events, or it is over."""
        self._read = asyncio.Event()
        """There is room for events."""
        self._unsent: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._unsent_bytes = 0
        self._life: asyncio.Task[None] | None = None
        self._closed = False

    # what we do

    async def begin(self, instructions: Instructions) -> None:
        """Connect and settle. Raises ProviderError."""
        self._instructions = instructions
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(settled), name="deepgram-agent")
        await asyncio.wait({self._life, settled}, return_when=asyncio.FIRST_COMPLETED)
        if self._error is not None:
            raise self._error from None

    def push(self, pcm: bytes) -> None:
        """More of the caller's sound (16 kHz, 16-bit mono). What comes after the end is ignored."""
        if self._over or not pcm:
            return
        if self._unsent_bytes + len(pcm) > MAX_UNSENT * _BYTES_A_SECOND:
            detail = f"the network takes no more sound: {MAX_UNSENT:g} s of it wait"
            self._fail(ProviderError(DeepgramAgent.name, Cause.NETWORK, detail))
            return
        self._unsent_bytes += len(pcm)
        self._unsent.put_nowait(pcm)

    def instruct(self, instructions: Instructions) -> None:
        """Who it is from its next reply on; what it is already is not sent again. Raises ValueError when too long."""
        _bounded("instructions.prompt", instructions.prompt)
        if instructions != self._instructions and not self._over:
            self._instructions = instructions
            self._unsent.put_nowait(self._pipeline.update(instructions))

    def inject(self, text: str, how: Injection) -> str:
        """Have it say this. Raises ValueError for no text, or too long a one."""
        if not text.strip():
            raise ValueError("text: there is nothing to say")
        _bounded("text", text)
        line = self._talk.inject(text, how)
        if not self._over:
            self._unsent.put_nowait(messages.injection(text, how))
        return line

    def answer(self, call: str, result: str) -> None:
        """What a function came to, cut at a length; calls that nobody waits for (any more) are ignored."""
        name = self._talk.answered(call)
        if name is not None and not self._over:
            self._unsent.put_nowait(messages.answer(call, name, result[:MAX_TEXT]))

    def cut(self, heard: str | None = None) -> None:
        """The caller stopped its reply. The server cannot be told: the rest of what it sends of that is dropped."""
        if self._events.cut():
            self._told(self._talk.cut())

    async def __aiter__(self) -> AsyncIterator[SessionEvent]:
        while True:
            while self._events:
                event = self._events.take()
                if len(self._events) < MAX_UNREAD:
                    self._read.set()
                yield event
            if self._error is not None:
                raise self._error from None
            if self._closed:
                return
            self._come.clear()
            await self._come.wait()

    async def aclose(self) -> None:
        """End the talk, and whoever iterates. Calling it twice does nothing."""
        self._closed = True
        self._come.set()
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait({self._life})

    # its life

    @property
    def _over(self) -> bool:
        return self._closed or self._error is not None

    async def _live(self, settled: asyncio.Future[None]) -> None:
        try:
            connecting = self._account.client(DeepgramAgent.name).agent.v1.connect()
            async with connected(DeepgramAgent.name, connecting, self._connect) as socket:
                if self._secrets:
                    deepgram.unlogged(socket)
                async with asyncio.timeout(self._ready):
                    incoming = aiter(socket)
                    await self._settle(socket, incoming)
                settled.set_result(None)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._send(socket))
                    both.create_task(self._receive(incoming))
        except* Exception as failures:
            self._fail(_first(failures))
        finally:
            settled.cancel()
            self._come.set()

    async def _settle(self, socket: AsyncV1SocketClient, incoming: AsyncIterator[Any]) -> None:
        settings = self._pipeline.settings(self._instructions)
        async for message in incoming:
            kind = getattr(message, "type", None)
            if kind == "Welcome":
                await socket.send_settings(settings)
            elif kind == "SettingsApplied":
                return
            else:
                self._hear(message)
        raise ProviderError(DeepgramAgent.name, Cause.NETWORK, "it closed the connection before it was ready")

    async def _send(self, socket: AsyncV1SocketClient) -> None:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    message = await self._unsent.get()
            except TimeoutError:
                message = None
            if isinstance(message, bytes):
                self._unsent_bytes -= len(message)
            async with asyncio.timeout(STALL):
                await messages.send(socket, message)

    async def _receive(self, incoming: AsyncIterator[Any]) -> None:
        async for message in incoming:
            self._hear(message)
            if len(self._events) >= MAX_UNREAD:
                self._read.clear()
                await self._read.wait()
        raise ProviderError(DeepgramAgent.name, Cause.NETWORK, "it closed the connection")

    def _hear(self, message: Any) -> None:
        for event in self._talk.handle(message):
            if isinstance(event, Unusable):
                self.answer(event.id, event.why)
            else:
                self._told([event])

    def _told(self, events: list[SessionEvent]) -> None:
        if events and not self._over:
            self._events.put(events)
            self._come.set()

    def _fail(self, error: BaseException) -> None:
        """It is lost, for this reason if there is no other."""
        if not self._over:
            self._error = self._safe(deepgram.failure(DeepgramAgent.name, error))
            if self._life is not None and self._life is not asyncio.current_task():
                self._life.cancel()
        self._come.set()

    def _safe(self, error: ProviderError) -> ProviderError:
        """What the server says may repeat what it was told to send to the language model."""
        detail = masked(error.detail, self._secrets)
        if detail == error.detail:
            return error
        return ProviderError(
            error.provider, error.cause, detail, fix=error.fix, status=error.status, retry_after=error.retry_after
        )


def _first(failures: BaseExceptionGroup[Exception]) -> Exception:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _bounded(field: str, text: str) -> None:
    if len(text) > MAX_TEXT:
        raise ValueError(f"{field}: it has {len(text)} characters; at most {MAX_TEXT} are possible")
