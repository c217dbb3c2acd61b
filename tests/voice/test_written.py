"""The channel of those who read: what is said is sent whole, in order, once; and what breaks breaks alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from voice.channel import APOLOGY, Caller, Channel, Utterance
from voice.clock import now, run
from voice.events import Event, SpeakingHeard, Turn
from voice.floor import Blocker, FloorChanged, FloorState
from voice.written import WrittenChannel, WrittenUtterance
from voice.written_floor import REPLY

ANN = Caller("ann", "Ann")


class Post:
    """Where it is sent: `mood` is taken before each."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.mood: list[float | BaseException] = []

    async def send(self, utterance: WrittenUtterance) -> None:
        match self.mood.pop(0) if self.mood else 0:
            case BaseException() as error:
                raise error
            case float() as seconds:
                await asyncio.sleep(seconds)
        self.sent.append(utterance.text)


def turn(id: str = "t", caller: str = "ann") -> Turn:
    return Turn(id, caller, "hello", now(), now())


async def words(*pieces: str | float | BaseException) -> AsyncIterator[str]:
    for piece in pieces:
        match piece:
            case str():
                yield piece
            case BaseException():
                raise piece
            case seconds:
                await asyncio.sleep(seconds)


def play(script: Callable[[WrittenChannel, Post], Awaitable[None]], **options: float | str) -> None:
    async def main() -> None:
        post = Post()
        async with asyncio.timeout(5_000), WrittenChannel(post.send, **options) as channel:  # type: ignore[arg-type]
            channel.enter(ANN)
            await script(channel, post)

    run(main())


def test_it_is_a_channel() -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        as_channel: Channel = channel
        assert isinstance(as_channel.say("hello"), Utterance)
        assert dict(channel.callers) == {"ann": ANN}

    play(script)


def test_what_is_said_is_sent_whole_and_then_heard() -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        post.mood = [2.0]
        utterance = channel.say(words("one ", 1.0, "two"))
        assert (utterance.text, utterance.heard, utterance.started) == ("", "", None)
        await asyncio.sleep(2)
        assert (utterance.text, utterance.heard, utterance.done) == ("one two", "", False)
        assert channel.floor.state is FloorState.AGENT_AUDIBLE
        assert await utterance is utterance
        assert (utterance.heard, utterance.remainder, utterance.complete, utterance.interrupted_by) == (
            *("one two", ""),
            *(True, None),
        )
        assert (utterance.started, utterance.ended, now()) == (1.0, 3.0, 3.0)
        assert post.sent == ["one two"]
        assert channel.floor.open

    play(script)


def test_one_thing_comes_after_the_other_and_what_is_urgent_before_what_waits() -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        post.mood = [1.0]
        said = [
            channel.say("one"),
            channel.say("two"),
            channel.say("three", ahead=True),
            channel.say("four", over=True),
        ]
        for each in said:
            await each
        assert post.sent == ["four", "three", "one", "two"]

    play(script)


def test_listeners_see_it_in_order() -> None:
    seen: list[Event | FloorChanged] = []

    async def script(channel: WrittenChannel, post: Post) -> None:
        stop = channel.listen(lambda event, at: seen.append(event))
        asked = turn()
        channel.take(asked)
        await channel.say("hello", reply_to=asked)
        stop()
        await channel.say("more")
        kinds = [type(each).__name__ for each in seen if not isinstance(each, FloorChanged)]
        assert kinds == [
            *("TurnEnded", "SpeakingPlanned", "SpeakingStarted", "SpeakingHeard", "SpeakingEnded", "ReplySettled")
        ]
        assert SpeakingHeard(next(e.utterance for e in seen if isinstance(e, SpeakingHeard)), 5) in seen
        states = [each.view.blocker for each in seen if isinstance(each, FloorChanged)]
        assert states == [Blocker.REPLY, Blocker.AGENT_SPEAKING, Blocker.REPLY, None]

    play(script)


def test_a_reply_that_cannot_be_made_ends_with_an_apology(caplog: pytest.LogCaptureFixture) -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        for pieces in ((OSError("no network"),), ("Half of", OSError("no network")), (asyncio.CancelledError(),)):
            asked = turn()
            channel.take(asked)
            reply = await channel.say(words(*pieces), reply_to=asked)
            assert (reply.complete, reply.interrupted_by) == (False, "failed")
            assert channel.floor.open
        assert post.sent == [APOLOGY, f"Half of {APOLOGY}", APOLOGY]

    play(script)
    assert "cannot be made: no network" in caplog.text


def test_what_is_no_reply_is_not_apologised_for() -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        utterance = await channel.say(words("half", OSError("no network")))
        assert (post.sent, utterance.interrupted_by, utterance.complete) == (["half"], "failed", False)
        assert (await channel.say(words(OSError("no network")))).interrupted_by == "failed"
        assert post.sent == ["half"]

    play(script)


def test_a_reply_that_is_not_made_in_time_is_given_up() -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        asked = turn()
        channel.take(asked)
        reply = channel.say(words("well, ", 10_000.0), reply_to=asked)
        after = channel.say("next")
        assert (await reply).interrupted_by == "failed"
        assert now() == REPLY
        await after
        assert post.sent == [f"well, {APOLOGY}", "next"]
        assert channel.floor.open

    play(script)


@pytest.mark.parametrize("error", [OSError("gone"), asyncio.CancelledError(), TimeoutError()])
def test_what_is_not_sent_is_not_heard_and_the_next_is_sent(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        post.mood = [error]
        lost, next_ = channel.say("one"), channel.say("two")
        await lost
        assert (lost.heard, lost.remainder, lost.interrupted_by, lost.complete) == ("", "one", "failed", False)
        assert (await next_).complete
        assert post.sent == ["two"]
        assert (await channel.say("three")).complete

    play(script)
    assert "was not sent" in caplog.text


def test_nothing_to_say_is_not_sent() -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        utterance = await channel.say(words(" ", "\n"))
        assert (utterance.complete, utterance.interrupted_by, post.sent) == (True, None, [])
        assert (await channel.say("")).complete

    play(script)


def test_what_is_not_sent_yet_can_be_stopped() -> None:
    closed: list[bool] = []

    async def endless() -> AsyncIterator[str]:
        try:
            yield "one "
            await asyncio.sleep(1000)
        finally:
            closed.append(True)

    async def script(channel: WrittenChannel, post: Post) -> None:
        making, waiting, last = channel.say(endless()), channel.say("two"), channel.say("three")
        await asyncio.sleep(1)
        channel.stop(waiting, "bored")
        assert (waiting.done, waiting.interrupted_by) == (True, "bored")
        channel.stop(making)
        await making
        assert (making.interrupted_by, making.heard, making.remainder, closed) == ("stopped", "", "one ", [True])
        await last
        channel.stop(last)
        assert (last.interrupted_by, post.sent, now()) == (None, ["three"], 1.0)

    play(script)


def test_what_is_on_its_way_cannot_be_stopped() -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        post.mood = [5.0]
        utterance = channel.say("one")
        await asyncio.sleep(1)
        channel.stop(utterance)
        assert (await utterance).complete

    play(script)


def test_a_channel_that_closes_ends_all_at_once() -> None:
    async def main() -> None:
        post = Post()
        async with WrittenChannel(post.send) as channel:
            channel.enter(ANN)
            said = [channel.say(words(1000.0, "one")), channel.say("two")]
            await asyncio.sleep(1)
        assert now() == 1.0
        assert [each.interrupted_by for each in said] == ["hang_up", "hang_up"]
        assert post.sent == []
        with pytest.raises(RuntimeError, match="not open"):
            channel.say("three")
        channel.take(turn())
        channel.stop(said[0])

    run(main())


def test_a_channel_that_closes_while_something_is_sent_does_not_wait_for_it() -> None:
    async def main() -> None:
        post = Post()
        post.mood = [1000.0]
        async with WrittenChannel(post.send) as channel:
            utterance = channel.say("one")
            await asyncio.sleep(1)
        assert now() == 1.0
        assert (utterance.interrupted_by, utterance.heard) == ("hang_up", "")

    run(main())


def test_what_goes_wrong_inside_comes_out_as_it_is() -> None:
    async def main() -> None:
        async with WrittenChannel(Post().send) as channel:
            channel.say(words(1000.0))
            await asyncio.sleep(1)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(main())


def test_its_turns_come_from_elsewhere_and_end_with_it() -> None:
    async def main() -> list[Turn]:
        async with WrittenChannel(Post().send) as channel:
            reading = asyncio.create_task(_all(channel))
            channel.take(turn())
            await asyncio.sleep(1)
            assert not reading.done()
        return await reading

    async def _all(channel: WrittenChannel) -> list[Turn]:
        return [each async for each in channel.turns()]

    assert run(main()) == []


def test_who_reads_comes_and_goes_once() -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        seen: list[str] = []
        channel.listen(lambda event, at: seen.append(type(event).__name__))
        channel.enter(ANN)
        channel.leave("bob")
        channel.leave("ann")
        channel.leave("ann")
        assert seen == ["Left", "FloorChanged"]
        assert channel.floor.state is FloorState.EMPTY

    play(script)


def test_who_waits_for_an_utterance_and_gives_up_stops_nothing() -> None:
    async def script(channel: WrittenChannel, post: Post) -> None:
        post.mood = [5.0]
        utterance = channel.say("one")

        async def wait() -> None:
            await utterance

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert (await utterance).complete

    play(script)
