"""Plugins for LiveKit, real ones, which understand and speak the words hidden in the samples (`tests/voice/doubles`).

What they are to do wrong, they are told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine
from typing import Any

from livekit.agents import APIConnectOptions, llm, stt, tts
from livekit.agents.types import NOT_GIVEN, TimedString
from livekit.agents.utils import http_context

from orchestration.models.model import Message, Role, TextDelta, ToolCall, Usage
from tests.voice.doubles import NOISE, number, word_of
from voice.leg import FRAME_BYTES, FRAME_SECONDS, RATE
from voice.tts.synthesizer import SpeechChunk, Synthesizer

Kind = stt.SpeechEventType


class Ear(stt.STT[Any]):
    """A recogniser. `flushes`: it answers a flush with its last final, else it needs `silence` s for one. `eager`: it
    foresees the end. `mute`: it never says anything. `lag`: seconds until what it says arrives. `fail`: raised with the
    word. `hang_up`: its stream ends with the word.
    """

    def __init__(
        self,
        *,
        streaming: bool = True,
        interim: bool = True,
        flushes: bool = False,
        silence: float = 0.2,
        eager: float | None = None,
        mute: bool = False,
        lag: float = 0.0,
        fail: tuple[str, Exception] | None = None,
        hang_up: str = "",
        confidence: float = 0.9,
    ) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(streaming=streaming, interim_results=interim, manual_flush=flushes)
        )
        self.flushes, self.silence, self.eager, self.mute, self.lag = flushes, silence, eager, mute, lag
        self.fail, self.hang_up, self.confidence = fail, hang_up, confidence
        self.streams: list[EarStream] = []
        self.asked: list[tuple[Any, APIConnectOptions]] = []
        self.closed = self.warmed = 0

    @property
    def provider(self) -> str:
        return "test ear"

    def prewarm(self) -> None:
        self.warmed += 1

    def stream(self, *, language: Any = NOT_GIVEN, conn_options: APIConnectOptions = APIConnectOptions()) -> EarStream:  # noqa: B008
        self.asked.append((language, conn_options))
        self.streams.append(EarStream(self, conn_options))
        return self.streams[-1]

    async def _recognize_impl(
        self, buffer: Any, *, language: Any = NOT_GIVEN, conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        self.asked.append((language, conn_options))
        await asyncio.sleep(self.lag)
        if self.mute:
            await asyncio.sleep(1e6)
        words = list(words_in(bytes(buffer.data)))
        if self.fail and self.fail[0] in words:
            raise self.fail[1]
        return event(Kind.FINAL_TRANSCRIPT, " ".join(words), self.confidence)

    async def aclose(self) -> None:
        self.closed += 1


def event(kind: stt.SpeechEventType, text: str = "", confidence: float = 0.0) -> stt.SpeechEvent:
    told = [stt.SpeechData(language="en", text=text, confidence=confidence)] if text else []  # type: ignore[arg-type]
    return stt.SpeechEvent(type=kind, alternatives=told)


def frames_in(pcm: bytes) -> list[bytes]:
    return [pcm[i : i + FRAME_BYTES] for i in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)]


def words_in(pcm: bytes) -> list[str]:
    found = (word_of(frame) for frame in frames_in(pcm))
    return [word for word, last in found if last and word and number(word) != NOISE]


class EarStream(stt.RecognizeStream):
    def __init__(self, ear: Ear, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=ear, conn_options=conn_options, sample_rate=RATE)
        self.ear = ear
        self.words: list[str] = []
        self.heard = 0.0
        self.flushed = 0
        self.running = False
        self._speaking = False
        self._quiet = 0.0
        self._rest = b""

    async def _run(self) -> None:
        self.running = True
        try:
            async for given in self._input_ch:
                if isinstance(given, self._FlushSentinel):
                    self.flushed += 1
                    self._rest = b""
                    if self.ear.flushes:
                        await self._conclude()
                    continue
                self.heard += given.duration
                pcm = self._rest + bytes(given.data)
                self._rest = pcm[len(pcm) // FRAME_BYTES * FRAME_BYTES :]
                for frame in frames_in(pcm):
                    await self._hear(frame)
                    if self.ear.hang_up and self.ear.hang_up in self.words:
                        return
        finally:
            self.running = False

    async def say(self, kind: stt.SpeechEventType, text: str = "", confidence: float = 0.0) -> None:
        if self.ear.mute:
            return
        told = event(kind, text, confidence)
        if self.ear.lag:
            asyncio.get_running_loop().call_later(self.ear.lag, self._send, told)
        else:
            self._send(told)

    def _send(self, told: stt.SpeechEvent) -> None:
        if not self._event_ch.closed:
            self._event_ch.send_nowait(told)

    async def _hear(self, frame: bytes) -> None:
        word, last = word_of(frame)
        if word:
            self._quiet = 0.0
            if not self._speaking:
                self._speaking = True
                await self.say(Kind.START_OF_SPEECH)
        else:
            self._quiet += FRAME_SECONDS
            if self.words and self.ear.eager is not None and self._quiet >= self.ear.eager > self._quiet - 0.02:
                await self.say(Kind.PREFLIGHT_TRANSCRIPT, " ".join(self.words))
            if self._speaking and not self.ear.flushes and self._quiet >= self.ear.silence - 1e-6:
                await self._conclude()
        if last and word and number(word) != NOISE:
            self.words.append(word)
            if self.ear.fail and word == self.ear.fail[0]:
                raise self.ear.fail[1]
            if self.ear.capabilities.interim_results:
                await self.say(Kind.INTERIM_TRANSCRIPT, " ".join(self.words))

    async def _conclude(self) -> None:
        if self.words:
            await self.say(Kind.FINAL_TRANSCRIPT, " ".join(self.words), self.ear.confidence)
        if self._speaking:
            await self.say(Kind.END_OF_SPEECH)
        self.words, self._speaking = [], False


class Voice(tts.TTS[Any]):
    """A voice that speaks with one of our synthesizers. `marks`: it tells when words begin. `fetches`: it asks its HTTP
    session for something first, as those that speak to a service do."""

    def __init__(
        self,
        engine: Synthesizer,
        *,
        rate: int = RATE,
        channels: int = 1,
        marks: bool = True,
        fetches: Callable[[Any], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        capabilities = tts.TTSCapabilities(streaming=False, aligned_transcript=marks)
        super().__init__(capabilities=capabilities, sample_rate=rate, num_channels=channels)
        self.engine, self.fetches = engine, fetches
        self.asked: list[tuple[str, APIConnectOptions]] = []
        self.running = self.closed = self.warmed = 0

    def prewarm(self) -> None:
        self.warmed += 1

    def timed(self, chunk: SpeechChunk, text: str) -> list[tuple[str, float]]:
        """The words about here, and when they begin."""
        return [(f"{text[mark.start : mark.end]} ", mark.at) for mark in chunk.marks]

    def synthesize(self, text: str, *, conn_options: APIConnectOptions = APIConnectOptions()) -> Speech:  # noqa: B008
        self.asked.append((text, conn_options))
        return Speech(tts=self, input_text=text, conn_options=conn_options)

    async def aclose(self) -> None:
        self.closed += 1


class Speech(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        from voice.audio import Resampler

        voice = self._tts
        assert isinstance(voice, Voice)
        voice.running += 1
        speech = voice.engine.synthesize(self.input_text)
        try:
            if voice.fetches:
                await voice.fetches(http_context.http_session())
            resampler = Resampler(RATE, voice.sample_rate)
            output_emitter.initialize(
                request_id="r1", sample_rate=voice.sample_rate, num_channels=voice.num_channels, mime_type="audio/pcm"
            )
            async for chunk in speech:
                if voice.capabilities.aligned_transcript:
                    for word, at in voice.timed(chunk, self.input_text):
                        output_emitter.push_timed_transcript(TimedString(word, start_time=at))
                output_emitter.push(spread(resampler.process(chunk.pcm), voice.num_channels))
            output_emitter.push(spread(resampler.flush(), voice.num_channels))
            output_emitter.flush()
        finally:
            voice.running -= 1
            await speech.aclose()  # type: ignore[attr-defined]


def spread(pcm: bytes, channels: int) -> bytes:
    """The same sound on so many channels."""
    return b"".join(pcm[i : i + 2] * channels for i in range(0, len(pcm), 2)) if channels > 1 else pcm


class Mind(llm.LLM[Any]):
    """A language model that thinks with one of ours: what it is asked comes back as our messages, its answer goes out.

    `spoils`: instead of a tool call's arguments.
    """

    def __init__(self, inner: Any, *, spoils: str | None = None) -> None:
        super().__init__()
        self.inner, self.spoils = inner, spoils
        self.asked: list[tuple[llm.ChatContext, list[Any], APIConnectOptions]] = []
        self.running = self.closed = 0

    @property
    def model(self) -> str:
        return "mind-1"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = APIConnectOptions(),  # noqa: B008
        **others: Any,
    ) -> Thought:
        self.asked.append((chat_ctx, tools or [], conn_options))
        return Thought(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()


class Thought(llm.LLMStream):
    async def _run(self) -> None:
        mind = self._llm
        assert isinstance(mind, Mind)
        mind.running += 1
        prompt, messages = read(self.chat_ctx)
        answer: AsyncGenerator[Any, None] = mind.inner.stream(messages, prompt=prompt, tools=())
        try:
            async for delta in answer:
                match delta:
                    case TextDelta(text):
                        self._say(delta=llm.ChoiceDelta(role="assistant", content=text))
                    case ToolCall(id, name, arguments):
                        given = mind.spoils if mind.spoils is not None else json.dumps(dict(arguments))
                        call = llm.FunctionToolCall(name=name, arguments=given, call_id=id)
                        self._say(delta=llm.ChoiceDelta(role="assistant", tool_calls=[call]))
                    case Usage():
                        self._say(
                            usage=llm.CompletionUsage(
                                completion_tokens=delta.output,
                                prompt_tokens=delta.input + delta.cache_read + delta.cache_write,
                                prompt_cached_tokens=delta.cache_read,
                                cache_creation_tokens=delta.cache_write,
                                total_tokens=0,
                            )
                        )
        finally:
            mind.running -= 1
            await answer.aclose()

    def _say(self, **what: Any) -> None:
        self._event_ch.send_nowait(llm.ChatChunk(id="c1", **what))


def read(context: llm.ChatContext) -> tuple[str, list[Message]]:
    """A chat context as our prompt and messages."""
    prompt, messages = "", []
    for item in context.items:
        match item:
            case llm.ChatMessage(role="system"):
                prompt = item.text_content or ""
            case llm.ChatMessage():
                messages.append(Message(Role(item.role), item.text_content or ""))
            case llm.FunctionCall():
                call = ToolCall(item.call_id, item.name, json.loads(item.arguments))
                if messages and messages[-1].role is Role.ASSISTANT:
                    last = messages.pop()
                    messages.append(Message(Role.ASSISTANT, last.text, (*last.tool_calls, call)))
                else:
                    messages.append(Message(Role.ASSISTANT, "", (call,)))
            case llm.FunctionCallOutput():
                messages.append(Message(Role.TOOL, item.output, call=item.call_id))
    return prompt, messages


async def left() -> list[str]:
    """The tasks that are there besides this one, after each has had its chance to end."""
    for _ in range(10):
        await asyncio.sleep(0)
    return [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def everything(iterator: AsyncIterable[Any]) -> list[Any]:
    return [each async for each in iterator]
