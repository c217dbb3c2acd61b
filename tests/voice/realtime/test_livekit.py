"""LiveKit's realtime models: what is special about them; the contract they keep is in `test_session.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("livekit.agents", reason="pip install 'sottovoce[livekit]'")

from livekit.agents import APIConnectionError, APIStatusError, llm

from tests.voice.doubles import Vad, quiet, spoken
from tests.voice.livekit_plugins import left
from tests.voice.livekit_talker import Talk, Talker
from tests.voice.realtime.room import Room
from voice.clock import now, run
from voice.provider_error import Cause, ProviderError
from voice.realtime.channel import RealtimeChannel
from voice.realtime.livekit import LiveKitRealtime
from voice.realtime.livekit_reply import Reply
from voice.realtime.livekit_session import MAX_UNREAD, OWED, WORDS, LiveKitSession
from voice.realtime.livekit_wishes import BEGUN
from voice.realtime.session import (
    CallerSaid,
    Function,
    FunctionCalled,
    Injection,
    Instructions,
    Refused,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SessionEvent,
)

SCHEMA = {"type": "object", "properties": {"table": {"type": "integer"}}}
ECHO = Instructions("you said", [Function("book", "Books a table.", SCHEMA)])


class Scene:
    """A session, and what it told, with the times."""

    def __init__(self, session: LiveKitSession, talk: Talk) -> None:
        self.session, self.talk = session, talk
        self.told: list[tuple[float, SessionEvent]] = []
        self.error: ProviderError | None = None

    async def read(self) -> None:
        try:
            async for event in self.session:
                self.told.append((now(), event))
        except ProviderError as error:
            self.error = error

    async def say(self, text: str, silence: float = 0.4) -> None:
        for frame in [*spoken(text, 3), *quiet(silence)]:
            self.session.push(frame)
            await asyncio.sleep(0.02)

    def kinds(self, *kinds: type) -> list[SessionEvent]:
        return [event for _, event in self.told if isinstance(event, kinds)]

    def at(self, kind: type) -> list[float]:
        return [at for at, event in self.told if isinstance(event, kind)]

    @property
    def text(self) -> str:
        return "".join(event.text for _, event in self.told if isinstance(event, ReplyText)).strip()


@asynccontextmanager
async def talking(talker: Talker, instructions: Instructions = ECHO) -> AsyncIterator[Scene]:
    """A talk, of which nothing is left afterwards."""
    model = LiveKitRealtime(talker)
    session = await model.open(instructions)
    scene = Scene(session, talker.talks[-1])
    reader = asyncio.create_task(scene.read())
    yield scene
    await session.aclose()
    await reader
    await model.aclose()
    assert await left() == []
    assert [talk.closed for talk in talker.talks] == [1] * len(talker.talks)
    assert talker.closed == 1


def play(scene: Callable[[Scene], Awaitable[None]], talker: Talker | None = None) -> None:
    async def main() -> None:
        async with talking(talker or Talker()) as opened:
            await scene(opened)

    run(main())


class TestWhatItCan:
    def test_it_takes_lines_in_every_way_whatever_the_model_can(self) -> None:
        can = LiveKitRealtime(Talker(message_truncation=False)).capabilities
        assert can.owns_turns
        assert can.injection == {"now", "idle", "queue"}
        assert LiveKitRealtime(Talker()).name == "livekit:test talker"
        assert LiveKitRealtime.check().usable

    @pytest.mark.parametrize(
        ("lacks", "fix"),
        [
            ("turn_detection", "switch its turn detection on"),
            ("user_transcription", "switch its transcription on"),
            ("audio_output", "have it answer in sound"),
        ],
    )
    def test_one_that_cannot_do_what_a_call_needs_is_refused(self, lacks: str, fix: str) -> None:
        with pytest.raises(ValueError, match=fix):
            LiveKitRealtime(Talker(**{lacks: False}))  # type: ignore[arg-type]

    def test_it_says_what_is_no_model(self) -> None:
        with pytest.raises(TypeError, match=r"model: give an object .* not the class Talker"):
            LiveKitRealtime(Talker)  # type: ignore[arg-type]


class TestWords:
    def test_an_answer_comes_after_the_words_it_answers(self) -> None:
        async def scene(scene: Scene) -> None:
            await scene.say("hello there", 1.5)
            finals = [at for at, event in scene.told if isinstance(event, CallerSaid) and event.final]
            assert finals == scene.at(ReplyStarted)

        play(scene, Talker(late=0.7))

    def test_an_answer_does_not_wait_for_words_for_ever(self) -> None:
        async def scene(scene: Scene) -> None:
            await scene.say("hello there", 3.0)
            [begun] = scene.at(ReplyStarted)
            assert begun == pytest.approx(0.12 + 0.3 + WORDS, abs=0.03)
            assert scene.kinds(CallerSaid)[-1] == CallerSaid("hello there", final=True)

        play(scene, Talker(late=60.0))

    def test_an_answer_that_is_cut_before_it_is_told_is_never_told(self) -> None:
        async def scene(scene: Scene) -> None:
            await scene.say("hello there", 0.5)
            await scene.say("wait", 2.0)
            assert scene.text == "you said wait"
            assert scene.talk.interrupted >= 1
            assert scene.kinds(ReplyStarted, ReplyEnded) == [ReplyStarted(None), ReplyEnded(cut=False)]

        play(scene, Talker(late=0.5))


class TestHowMuchWasHeard:
    async def cut(self, scene: Scene, heard: str | None) -> list[Any]:
        await scene.say("one two three four", 1.0)
        assert scene.text == "you said one two three four"
        scene.session.cut(heard)
        scene.session.cut()
        return [what for kind, what in scene.talk.told if kind == "truncate"]

    def test_the_model_is_told(self) -> None:
        async def scene(scene: Scene) -> None:
            [(id, milliseconds, text)] = await self.cut(scene, "you said  one")
            assert (id, text) == ("r1-m", "you said one")
            assert milliseconds == round(6 * 60 * 10 / 22)

        play(scene)

    def test_nothing_was_heard(self) -> None:
        async def scene(scene: Scene) -> None:
            assert await self.cut(scene, "") == [("r1-m", 0, "")]

        play(scene)

    @pytest.mark.parametrize("heard", ["you said one two three four", None])
    def test_all_was_heard_or_it_is_not_known(self, heard: str | None) -> None:
        async def scene(scene: Scene) -> None:
            assert await self.cut(scene, heard) == []

        play(scene)

    def test_one_that_cannot_be_told_is_not(self) -> None:
        async def scene(scene: Scene) -> None:
            assert await self.cut(scene, "you") == []

        play(scene, Talker(message_truncation=False))

    def test_several_messages_are_one_answer(self) -> None:
        async def main() -> None:
            async def stream(*items: Any) -> AsyncIterator[Any]:
                for item in items:
                    yield item

            told: list[SessionEvent] = []
            one = llm.MessageGeneration("m1", stream("one ", "two "), stream(), asyncio.Future())
            two = llm.MessageGeneration("m2", stream("three ", "four"), stream(), asyncio.Future())
            event = llm.GenerationCreatedEvent(stream(one, two), stream(), user_initiated=False)
            reply = Reply(event, None, told.append)
            await reply.speak()
            assert told[0] == ReplyStarted(None)
            assert told[-1] == ReplyEnded(cut=False)
            place = reply.heard("one two three")
            assert place is not None
            assert (place[0].id, place[2]) == ("m2", "three")
            assert reply.heard("one two three four") is None

        run(main())


def test_we_can_cut_it_at_once() -> None:
    async def scene(scene: Scene) -> None:
        scene.talk.model.in_step = True
        await scene.say("one two three four five six seven eight", 0.32)
        assert scene.kinds(ReplyAudio)
        scene.session.cut("you")
        assert scene.talk.interrupted == 1
        assert scene.talk.told == [("truncate", ("r1-m", 40, "you"))], "the model has made more"
        await asyncio.sleep(0)
        assert scene.told[-1][1] == ReplyEnded(cut=True)
        await scene.say("hello", 1.0)
        assert scene.text.endswith("you said hello")

    play(scene)


class TestFunctions:
    def test_several_at_once_are_answered_together(self) -> None:
        async def scene(scene: Scene) -> None:
            await scene.say("book it")
            one, two = scene.kinds(FunctionCalled)
            assert isinstance(one, FunctionCalled)
            assert isinstance(two, FunctionCalled)
            assert (one.arguments, two.arguments) == ({"table": 2}, {})
            scene.session.answer(two.id, "table eight")
            await asyncio.sleep(5)
            assert not scene.kinds(ReplyStarted)
            scene.session.answer(one.id, "table seven")
            await asyncio.sleep(1)
            assert scene.talk.told[0] == ("context", ["table seven", "table eight"])
            assert scene.text == "you said table eight"

        play(scene, Talker(arguments='{"table": 2};'))

    def test_arguments_that_are_none_are_told_to_the_model(self) -> None:
        async def scene(scene: Scene) -> None:
            await scene.say("book it", 1.0)
            assert not scene.kinds(FunctionCalled)
            assert scene.text == "you said error: the arguments are no JSON object; call it again with one"

        play(scene, Talker(arguments="[2]"))

    def test_results_that_are_not_confirmed_are_answered_all_the_same(self) -> None:
        async def scene(scene: Scene) -> None:
            tell = scene.talk.update_chat_ctx

            async def update(chat_ctx: llm.ChatContext) -> None:
                await tell(chat_ctx)
                raise llm.RealtimeError("update_chat_ctx timed out.")

            scene.talk.update_chat_ctx = update  # type: ignore[method-assign]
            await scene.say("book it")
            [call] = scene.kinds(FunctionCalled)
            scene.session.answer(call.id, "table seven")  # type: ignore[union-attr]
            await asyncio.sleep(1)
            assert scene.text == "you said table seven"

        play(scene)

    def test_a_function_goes_on_when_the_caller_cuts_in(self) -> None:
        async def scene(scene: Scene) -> None:
            await scene.say("book it")
            [call] = scene.kinds(FunctionCalled)
            await scene.say("hello")
            scene.session.answer(call.id, "table seven")  # type: ignore[union-attr]
            await asyncio.sleep(1)
            assert scene.text == "you said hello you said table seven"

        play(scene)


class TestLines:
    def test_one_that_can_be_given_a_line_is(self) -> None:
        async def scene(scene: Scene) -> None:
            line = scene.session.inject("your table is ready", Injection.IDLE)
            await asyncio.sleep(1)
            assert scene.talk.told == [("say", "your table is ready")]
            assert scene.kinds(ReplyStarted) == [ReplyStarted(line)]

        play(scene, Talker(says=True))

    def test_another_is_asked_to_repeat_it_and_to_call_nothing(self) -> None:
        async def scene(scene: Scene) -> None:
            scene.session.inject("your table is ready", Injection.IDLE)
            await asyncio.sleep(1)
            assert scene.talk.told == [("asked", "none")]
            assert scene.text == "your table is ready"

        play(scene)

    def test_one_that_does_not_begin_it_has_refused_it(self) -> None:
        async def scene(scene: Scene) -> None:
            line = scene.session.inject("your table is ready", Injection.QUEUE)
            other = scene.session.inject("and so is mine", Injection.QUEUE)
            await asyncio.sleep(2 * BEGUN + 1)
            assert scene.told == [(BEGUN, Refused(line)), (2 * BEGUN, Refused(other))]

        play(scene, Talker(deaf=True))

    def test_a_caller_who_begins_to_speak_has_it_refused(self) -> None:
        async def scene(scene: Scene) -> None:
            asked, waiting = (scene.session.inject(text, Injection.QUEUE) for text in ("it is ready", "it is here"))
            await asyncio.sleep(1)
            await scene.say("hello", 0.1)
            assert scene.kinds(Refused) in ([Refused(asked), Refused(waiting)], [Refused(waiting), Refused(asked)])

        play(scene, Talker(deaf=True))

    def test_a_line_is_refused_while_the_caller_speaks(self) -> None:
        async def scene(scene: Scene) -> None:
            await scene.say("hello", 0.1)
            line = scene.session.inject("it is ready", Injection.IDLE)
            await asyncio.sleep(0)
            assert scene.kinds(Refused) == [Refused(line)]

        play(scene)

    def test_a_line_is_said_when_a_turn_gets_no_answer(self) -> None:
        class Silent(Talker):
            def session(self, **_: Any) -> Talk:
                talk = super().session()
                talk._begin = lambda *_: None  # type: ignore[method-assign]
                talk._ask = lambda text: Talk._ask(talk, text)  # type: ignore[method-assign]
                return talk

        async def scene(scene: Scene) -> None:
            await scene.say("hello", 0.36)
            scene.talk._begin = lambda *given: Talk._begin(scene.talk, *given)  # type: ignore[method-assign]
            scene.session.inject("it is ready", Injection.QUEUE)
            await asyncio.sleep(OWED + 1)
            assert scene.at(ReplyStarted) == [pytest.approx(0.06 + 0.3 + OWED, abs=0.05)]

        play(scene, Silent())

    def test_there_is_nothing_to_say(self) -> None:
        async def scene(scene: Scene) -> None:
            with pytest.raises(ValueError, match="text: there is nothing to say"):
                scene.session.inject(" ", Injection.NOW)

        play(scene)


class TestInstructions:
    def test_only_what_has_changed_is_told(self) -> None:
        async def scene(scene: Scene) -> None:
            told: list[str] = []
            tell = scene.talk.update_instructions

            async def update(instructions: str) -> None:
                told.append(instructions)
                await tell(instructions)

            scene.talk.update_instructions = update  # type: ignore[method-assign]
            for instructions in (ECHO, Instructions("he said", ECHO.functions), Instructions("he said")):
                scene.session.instruct(instructions)
                await asyncio.sleep(0.1)
            assert told == ["he said"]
            assert scene.talk.functions == []
            for instructions in (ECHO, Instructions("he said")):
                scene.session.instruct(instructions)
            await asyncio.sleep(0.1)
            assert told == ["he said", "you said", "he said"]

        play(scene)

    def test_one_that_cannot_be_told_in_the_middle_is_told_at_first(self, caplog: pytest.LogCaptureFixture) -> None:
        async def scene(scene: Scene) -> None:
            assert scene.talk.instructions == "you said"
            assert [tool.info.name for tool in scene.talk.functions] == ["book"]
            scene.session.instruct(Instructions("he said"))
            await asyncio.sleep(0.1)
            assert scene.talk.instructions == "you said"
            assert "its prompt cannot be changed in the middle of a talk" in caplog.text
            assert "its functions cannot be changed" in caplog.text

        play(scene, Talker(mutable_instructions=False, mutable_tools=False))

    def test_one_that_refuses_them_is_not_begun(self) -> None:
        class Stubborn(Talk):
            async def update_instructions(self, instructions: str) -> None:
                raise llm.RealtimeError("token-123")

        class Model(Talker):
            def session(self, **_: Any) -> Talk:
                self.talks.append(Stubborn(self))
                return self.talks[-1]

        async def main() -> None:
            talker = Model()
            with pytest.raises(ProviderError, match="livekit:test talker: answer not understood") as caught:
                await LiveKitRealtime(talker).open(ECHO)
            assert "token-123" not in repr(caught.value)
            assert talker.talks[0].closed == 1
            assert await left() == []

        run(main())


class TestFailures:
    def test_the_last_one_ends_the_talk(self) -> None:
        async def scene(scene: Scene) -> None:
            await scene.say("one two three four five six", 0.32)
            scene.talk.lose(APIStatusError("token-123", status_code=429, body="token-123"))
            await asyncio.sleep(0.01)
            assert scene.error is not None
            assert scene.error.cause is Cause.RATE
            assert "token-123" not in repr(scene.error)
            assert scene.talk.closed == 1

        play(scene)

    def test_one_of_which_the_plugin_recovers_is_in_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        async def scene(scene: Scene) -> None:
            scene.talk.lose(APIConnectionError("token-123"), recoverable=True)
            await scene.say("hello", 1.0)
            assert scene.text == "you said hello"
            assert "livekit:test talker: connection lost" in caplog.text
            assert "token-123" not in caplog.text

        play(scene)

    def test_a_stream_that_breaks_ends_the_talk(self) -> None:
        async def broken(error: Exception | None = None) -> AsyncIterator[Any]:
            if error is None:
                raise OSError("token-123")
            yield

        async def scene(scene: Scene) -> None:
            generation = llm.GenerationCreatedEvent(broken(), broken(), user_initiated=False)
            scene.talk.emit("generation_created", generation)
            await asyncio.sleep(1)
            assert scene.error is not None
            assert scene.error.cause is Cause.NETWORK

        play(scene)

    def test_one_that_takes_no_sound_ends_the_talk(self) -> None:
        async def scene(scene: Scene) -> None:
            def refuse(frame: Any) -> None:
                raise RuntimeError("closed")

            scene.talk.push_audio = refuse  # type: ignore[method-assign]
            scene.session.push(bytes(640))
            scene.session.push(bytes(640))
            await asyncio.sleep(0)
            assert scene.error is not None

        play(scene)

    def test_one_that_cannot_be_stopped_or_told_is_borne_with(self, caplog: pytest.LogCaptureFixture) -> None:
        async def scene(scene: Scene) -> None:
            def refuse(**_: Any) -> None:
                raise RuntimeError("token-123")

            scene.talk.model.in_step = True
            await scene.say("one two three", 0.32)
            scene.talk.truncate = refuse  # type: ignore[method-assign]
            interrupt, scene.talk.interrupt = scene.talk.interrupt, refuse  # type: ignore[method-assign]
            scene.session.cut("you")
            assert scene.told[-1][1] != ReplyEnded(cut=True)
            await asyncio.sleep(0)
            assert scene.told[-1][1] == ReplyEnded(cut=True)
            assert "cannot be interrupted: RuntimeError" in caplog.text
            assert "cannot be told what was heard: RuntimeError" in caplog.text
            scene.talk.interrupt = interrupt  # type: ignore[method-assign]

        play(scene)

    def test_nothing_comes_of_what_is_done_after_the_end(self) -> None:
        async def scene(scene: Scene) -> None:
            scene.talk.lose(APIConnectionError())
            pushed = scene.talk.pushed
            scene.session.inject("it is ready", Injection.NOW)
            scene.session.instruct(Instructions("he said"))
            scene.session.push(bytes(640))
            scene.session.cut("you")
            scene.talk.lose(APIStatusError("again", status_code=401))
            await asyncio.sleep(1)
            assert scene.told == []
            assert scene.error is not None
            assert scene.error.cause is Cause.NETWORK
            assert (scene.talk.told, scene.talk.pushed) == ([], pushed)

        play(scene)

    def test_a_session_that_nobody_reads_is_lost(self) -> None:
        async def main() -> None:
            talker = Talker()
            session = await LiveKitRealtime(talker).open(ECHO)
            for _ in range(MAX_UNREAD + 1):
                talker.talks[0].emit("input_speech_started", llm.InputSpeechStartedEvent())
            with pytest.raises(ProviderError, match="nobody reads what it says"):
                async for _ in session:
                    pass
            await session.aclose()
            assert await left() == []

        run(main())

    def test_one_that_cannot_be_opened(self) -> None:
        class Dead(Talker):
            def session(self, **_: Any) -> Talk:
                raise APIConnectionError

        async def main() -> None:
            with pytest.raises(ProviderError, match="connection lost"):
                await LiveKitRealtime(Dead()).open(ECHO)

        run(main())


class TestInARoom:
    """Over the real channel."""

    def play(self, scene: Callable[[Room], Awaitable[None]], talker: Talker | None = None) -> None:
        async def main() -> None:
            model = LiveKitRealtime(talker or Talker())
            channel = RealtimeChannel(model=model, vad=Vad(), instructions=ECHO)
            async with channel, asyncio.TaskGroup() as group, asyncio.timeout(600):
                room = Room(channel, model, group)  # type: ignore[arg-type]
                await asyncio.sleep(0)
                await scene(room)
                room.never_two_voices()
                room.leave()
            await model.aclose()
            assert await left() == []

        run(main())

    @pytest.mark.parametrize("late", [0.0, 0.4])
    def test_a_caller_speaks_and_is_answered(self, late: float) -> None:
        async def scene(room: Room) -> None:
            await room.anna.say("compare tea and coffee", 3.0)
            assert [turn.text for turn in room.turns] == ["compare tea and coffee"]
            assert room.anna.text == "you said compare tea and coffee"
            assert room.replies[0].complete

        self.play(scene, Talker(late=late))

    def test_a_function_is_called(self) -> None:
        async def scene(room: Room) -> None:
            await room.anna.say("please book a table", 3.0)
            assert room.called == ["book"]
            assert room.anna.text == "you said done"

        self.play(scene)

    def test_a_caller_cuts_in_and_the_model_is_told_how_much_was_heard(self) -> None:
        talker = Talker()

        async def scene(room: Room) -> None:
            await room.anna.say(" ".join(f"word{n}" for n in range(20)), 0.8)
            await room.anna.say("stop that please", 3.0)
            assert room.anna.text.endswith("you said stop that please")
            [(_, milliseconds, heard)] = [what for kind, what in talker.talks[0].told if kind == "truncate"]
            assert heard.startswith("you said word0")
            assert "word19" not in heard
            assert 100 <= milliseconds <= 1000

        self.play(scene, talker)

    @pytest.mark.parametrize("says", [True, False])
    def test_a_line_is_said(self, says: bool) -> None:
        async def scene(room: Room) -> None:
            line = room.channel.say("your table is ready")
            await room.anna.play(quiet(2.0))
            await line
            assert line.complete
            assert room.anna.text == "your table is ready"

        self.play(scene, Talker(says=says))

    def test_a_session_that_is_lost_is_opened_again(self) -> None:
        talker = Talker()

        async def scene(room: Room) -> None:
            await room.anna.say("hello there", 6.0)
            talker.talks[0].lose(APIConnectionError())
            await room.anna.play(quiet(2.0))
            await room.anna.say("once more", 3.0)
            assert room.anna.text == "you said hello there you said once more"
            assert len(talker.talks) == 2

        self.play(scene, talker)
