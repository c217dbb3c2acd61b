"""A realtime model for LiveKit, a real one, which understands and speaks the words hidden in the samples.

It says its instructions and what the caller said ("you said" ... "you said hello"); asked to "book" with a function of
that name it calls it, and says what it came to. What it is to do wrong, it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from livekit import rtc
from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN
from livekit.agents.utils import aio

from tests.voice.doubles import NOISE, number, spoken, word_of
from tests.voice.livekit_plugins import frames_in, spread
from voice.leg import FRAME_BYTES, FRAME_SECONDS, RATE

PACE = 0.001
"""Seconds between two frames of what it says."""
TURN = 0.3
"""Seconds of silence that end a turn."""


class Talker(llm.RealtimeModel):
    """`says`: it can be given a line. `auto`: it answers by itself to what functions came to. `late`: seconds by which
    a transcript comes after the answer to it. `arguments`: of what it calls. `rate`: Hz of its sound. `deaf`: it does
    not begin what it is asked to say."""

    def __init__(
        self,
        *,
        says: bool = False,
        auto: bool = False,
        late: float = 0.0,
        arguments: str = '{"table": 2}',
        rate: int = RATE,
        deaf: bool = False,
        **capabilities: bool,
    ) -> None:
        can: dict[str, bool] = {
            "message_truncation": True,
            "turn_detection": True,
            "user_transcription": True,
            "auto_tool_reply_generation": auto,
            "audio_output": True,
            "manual_function_calls": True,
            "mutable_chat_context": True,
            "mutable_instructions": True,
            "mutable_tools": True,
            "per_response_tool_choice": True,
            "supports_say": says,
        }
        super().__init__(capabilities=llm.RealtimeCapabilities(**(can | capabilities)))
        self.late, self.arguments, self.rate, self.deaf = late, arguments, rate, deaf
        self.in_step = False
        """From now on it speaks no faster than the caller's sound comes."""
        self.talks: list[Talk] = []
        self.closed = 0

    @property
    def provider(self) -> str:
        return "test talker"

    def session(self, *, turn_detection_disabled: bool = False) -> Talk:
        self.talks.append(Talk(self))
        return self.talks[-1]

    async def aclose(self) -> None:
        self.closed += 1


class Generation:
    """What the model is saying."""

    def __init__(self, talk: Talk, id: str) -> None:
        self.id = id
        self.messages: aio.Chan[llm.MessageGeneration] = aio.Chan()
        self.functions: aio.Chan[llm.FunctionCall] = aio.Chan()
        self.words: aio.Chan[str] = aio.Chan()
        self.sound: aio.Chan[rtc.AudioFrame] = aio.Chan()
        self.task: asyncio.Task[None] | None = None

    def event(self, *, asked: bool) -> llm.GenerationCreatedEvent:
        return llm.GenerationCreatedEvent(
            message_stream=self.messages, function_stream=self.functions, user_initiated=asked, response_id=self.id
        )

    def close(self) -> None:
        for channel in (self.words, self.sound, self.messages, self.functions):
            channel.close()


class Talk(llm.RealtimeSession[Any]):
    def __init__(self, model: Talker) -> None:
        super().__init__(model)
        self.model = model
        self.instructions = ""
        self.functions: list[Any] = []
        self.context = llm.ChatContext.empty()
        self.told: list[tuple[str, Any]] = []
        self.words: list[str] = []
        self.generation: Generation | None = None
        self.pushed = self.interrupted = self.closed = self.generations = 0
        self._rest, self._quiet, self._speaking = b"", 0.0, False
        self._credit = asyncio.Semaphore(0)
        self._asked: set[asyncio.Future[llm.GenerationCreatedEvent]] = set()
        self._keep_alive = asyncio.create_task(asyncio.Event().wait(), name="the plugin's connection")

    @property
    def chat_ctx(self) -> llm.ChatContext:
        return self.context

    @property
    def tools(self) -> llm.ToolContext:
        return llm.ToolContext(self.functions)

    async def update_instructions(self, instructions: str) -> None:
        self.instructions = instructions

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        self.functions = list(tools)

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        self.context = chat_ctx
        self.told.append(("context", [item.output for item in chat_ctx.items if item.type == "function_call_output"]))
        if self.model.capabilities.auto_tool_reply_generation:
            self._begin(self._booked())

    def update_options(self, *, tool_choice: Any = NOT_GIVEN) -> None: ...
    def push_video(self, frame: rtc.VideoFrame) -> None: ...
    def commit_audio(self) -> None: ...
    def clear_audio(self) -> None: ...

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        pcm = self._rest + bytes(frame.data)
        self._rest = pcm[len(pcm) // FRAME_BYTES * FRAME_BYTES :]
        for each in frames_in(pcm):
            self.pushed += 1
            self._credit.release()
            self._hear(*word_of(each))

    def generate_reply(
        self, *, instructions: Any = NOT_GIVEN, tool_choice: Any = NOT_GIVEN, tools: Any = NOT_GIVEN
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        if not isinstance(instructions, str):
            return self._ask(self._booked())
        self.told.append(("asked", tool_choice))
        return self._ask(instructions.rpartition(": ")[2])

    def say(self, text: Any) -> asyncio.Future[llm.GenerationCreatedEvent]:
        if not self.model.capabilities.supports_say:
            return super().say(text)
        self.told.append(("say", text))
        return self._ask(text)

    def interrupt(self) -> None:
        self.interrupted += 1
        if self.generation is not None and self.generation.task is not None:
            self.generation.task.cancel()
            self._done(self.generation)

    def truncate(self, *, message_id: str, modalities: Any, audio_end_ms: int, audio_transcript: Any = "") -> None:
        self.told.append(("truncate", (message_id, audio_end_ms, audio_transcript)))

    async def aclose(self) -> None:
        self.closed += 1
        self.interrupt()
        await aio.cancel_and_wait(self._keep_alive)

    # the service

    def lose(self, error: Exception, *, recoverable: bool = False) -> None:
        told = llm.RealtimeModelError(timestamp=0.0, label=self.model.label, error=error, recoverable=recoverable)
        self.emit("error", told)

    def _hear(self, word: str, last: bool) -> None:
        if word:
            self._quiet = 0.0
            if not self._speaking:
                self._speaking, self.words = True, []
                self.emit("input_speech_started", llm.InputSpeechStartedEvent())
            if last and number(word) != NOISE:
                self.words.append(word)
                self._understand(" ".join(self.words), final=False)
        elif self._speaking:
            self._quiet += FRAME_SECONDS
            if self._quiet >= TURN - 1e-6:
                self._speaking = False
                self._end_turn(" ".join(self.words))

    def _understand(self, text: str, *, final: bool) -> None:
        said = llm.InputTranscriptionCompleted(item_id="i1", transcript=text, is_final=final)
        self.emit("input_audio_transcription_completed", said)

    def _end_turn(self, text: str) -> None:
        self.emit("input_speech_stopped", llm.InputSpeechStoppedEvent(user_transcription_enabled=True))
        if self.model.late:
            asyncio.get_running_loop().call_later(self.model.late, lambda: self._understand(text, final=True))
        else:
            self._understand(text, final=True)
        if "book" in text and any(tool.info.name == "book" for tool in self.functions):
            self._call("book")
        else:
            self._begin(f"{self.instructions} {text}")

    def _booked(self) -> str:
        outputs = [item.output for item in self.context.items if item.type == "function_call_output"]
        return f"{self.instructions} {outputs[-1]}"

    def _call(self, name: str) -> None:
        generation = self._new()
        for place, arguments in enumerate(self.model.arguments.split(";"), 1):
            call = llm.FunctionCall(call_id=f"{generation.id}-{place}", name=name, arguments=arguments)
            self.context.items.append(call)
            generation.functions.send_nowait(call)
        self.emit("generation_created", generation.event(asked=False))
        self._done(generation)

    def _ask(self, text: str) -> asyncio.Future[llm.GenerationCreatedEvent]:
        answer: asyncio.Future[llm.GenerationCreatedEvent] = asyncio.get_running_loop().create_future()
        if self.model.deaf:
            self._asked.add(answer)
        elif self.generation is not None:
            answer.set_exception(llm.RealtimeError("it speaks already"))
        else:
            self._begin(text, answer)
        return answer

    def _begin(self, text: str, answer: asyncio.Future[llm.GenerationCreatedEvent] | None = None) -> None:
        if self.generation is not None:
            self.interrupt()
        generation = self._new()
        generation.task = asyncio.create_task(self._speak(generation, text), name="the plugin's speech")
        event = generation.event(asked=answer is not None)
        if answer is not None:
            answer.set_result(event)
        else:
            self._credit = asyncio.Semaphore(0)
        self.emit("generation_created", event)

    def _new(self) -> Generation:
        self.generations += 1
        self.generation = Generation(self, f"r{self.generations}")
        return self.generation

    def _done(self, generation: Generation) -> None:
        generation.close()
        if self.generation is generation:
            self.generation = None

    async def _speak(self, generation: Generation, text: str) -> None:
        modalities: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        modalities.set_result(["text", "audio"])
        message = llm.MessageGeneration(f"{generation.id}-m", generation.words, generation.sound, modalities)
        generation.messages.send_nowait(message)
        async for word, pcm in self._sounds(text):
            if word:
                generation.words.send_nowait(word)
            rate = self.model.rate
            repeated = spread(pcm, rate // RATE)
            generation.sound.send_nowait(rtc.AudioFrame(repeated, rate, 1, len(repeated) // 2))
        self._done(generation)

    async def _sounds(self, text: str) -> AsyncIterator[tuple[str, bytes]]:
        for word in text.split():
            for place, pcm in enumerate(spoken(word, 3)):
                await (self._credit.acquire() if self.model.in_step and place else asyncio.sleep(PACE))
                yield "" if place else f"{word} ", pcm
