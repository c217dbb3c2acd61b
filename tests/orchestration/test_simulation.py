"""The public simulation: what a caller's side of a call promises to whoever writes tests with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from delivery import Immediate, Status
from orchestration import HookContext, HookEvent, HookTrigger, Runtime
from orchestration.simulation import GAP, NotHeardError, SimulatedCall, simulate
from tests.scenarios.scenes import FIRST, SECOND, TICK, house, play
from voice.clock import TimeLimitError, run
from voice.events import Joined, Left, SpeakingStarted, TurnEnded
from voice.floor import FloorChanged, FloorState

WORD = 0.4
"""Seconds: 2.5 words a second."""
TURN = 0.6
"""Seconds of silence that end a turn."""
GRACE = 0.25


def at(seconds: float) -> Any:
    return pytest.approx(seconds, abs=TICK)


def script(
    runtime: Callable[[], Runtime] = house, **speech: Any
) -> Callable[[Callable[[SimulatedCall], Awaitable[None]]], Callable[[], None]]:
    """Makes a test of a script: it is played in virtual time on a house of its own."""

    def made(body: Callable[[SimulatedCall], Awaitable[None]]) -> Callable[[], None]:
        def test() -> None:
            play(body, runtime(), **speech)

        return test

    return made


# -- what a caller says


@script()
async def test_say_takes_a_persons_time(call: SimulatedCall) -> None:
    assert await call.say("what time is it") == (at(GAP), at(GAP + 4 * WORD))
    assert call.now == at(GAP + 4 * WORD)


@script()
async def test_a_line_that_is_printed_says_when_and_what(call: SimulatedCall) -> None:
    await call.say("what time is it")
    line = await call.hears("It is")
    assert repr(line) == f"Line({line.started:.3f} s, 'It is')"


@script()
async def test_say_waits_for_the_end_of_the_agents_line_and_a_little(call: SimulatedCall) -> None:
    await call.say("what time is it")
    line = await call.hears("It is")
    assert line.ended is None
    begun, _ = await call.say("what time is it")
    assert line.ended is not None
    assert begun == at(line.ended + GAP)
    assert not line.interrupted


@script()
async def test_say_waits_out_a_line_that_pauses(call: SimulatedCall) -> None:
    await call.runtime.deliver(call.room, "The boat is here.")
    line = await call.hears("The boat")
    await call.caller.click()
    click = asyncio.create_task(call.caller.noise(0.5))
    await asyncio.sleep(0.2)
    assert await call.hears("is here.") is line
    await click
    begun, _ = await call.say("what time is it", gap=1.0)
    assert line.ended is not None
    assert begun >= line.ended + 1.0
    assert len(line.spans) == 2


@script()
async def test_the_gap_and_the_pace_are_the_scripts(call: SimulatedCall) -> None:
    begun, ended = await call.say("what time is it", gap=2.0, pace=8.0, pauses=[("time", 0.3)])
    assert (begun, ended) == (at(2.0), at(2.0 + 4 / 8 + 0.3))


@script()
async def test_interrupt_does_not_wait(call: SimulatedCall) -> None:
    await call.say("tell me a story")
    line = await call.hears("upon")
    before = call.now
    begun, _ = await call.interrupt("what time is it")
    await call.hears("noon")
    assert begun == before
    assert line.interrupted
    assert line.heard == "Once upon"
    assert line.text.startswith("Once upon a time")
    assert line.ended is not None
    assert line.ended - begun < 0.12


@script()
async def test_speech_may_overlap_with_the_agents(call: SimulatedCall) -> None:
    speech = call.caller.start_saying("tell me more and more and more and more")
    await call.silence(1.0)
    await call.runtime.deliver(call.room, "Fire!", strategy=Immediate())
    line = await call.hears("Fire!")
    assert line.started < (await speech)[1]


@script()
async def test_there_must_be_something_to_say(call: SimulatedCall) -> None:
    with pytest.raises(ValueError, match="at least one word"):
        await call.say(" ")


# -- what a caller hears


@script()
async def test_hears_returns_at_the_end_of_the_words_with_their_line(call: SimulatedCall) -> None:
    _, ended = await call.say("tell me a story")
    line = await call.hears("UPON A")
    assert line.started == at(ended + TURN)
    assert call.now == at(line.started + 3 * WORD)
    assert line.heard == "Once upon a"
    assert not line.over
    await call.hears("train.")
    assert line.heard == "Once upon a time a boat met a train."


@script()
async def test_hears_finds_the_same_words_once(call: SimulatedCall) -> None:
    await call.say("what time is it")
    first = await call.hears("noon")
    await call.say("what time is it")
    second = await call.hears("noon")
    assert second is not first
    with pytest.raises(NotHeardError):
        await call.hears("noon", timeout=5)


@script()
async def test_what_was_not_heard_is_told_with_all_that_was(call: SimulatedCall) -> None:
    await call.say("what time is it")
    asked = call.now
    with pytest.raises(NotHeardError) as error:
        await call.hears("bananas", timeout=5)
    assert call.now == at(asked + 5)
    assert str(error.value) == (
        f"caller did not hear 'bananas' within 5 s, only:\n      {asked + TURN:.3f} s  'It is noon.'"
    )
    assert isinstance(error.value, AssertionError)


@script()
async def test_what_was_never_said_is_told_so(call: SimulatedCall) -> None:
    assert call.transcript == "(nothing)"
    with pytest.raises(NotHeardError, match=r"within 0\.5 s, only:\n  -"):
        await call.hears("bananas", timeout=0.5)


@script()
async def test_the_transcript_is_what_was_heard(call: SimulatedCall) -> None:
    await call.say("tell me a story")
    line = await call.hears("upon")
    await call.interrupt("what time is it")
    noon = await call.hears("noon")
    assert call.transcript == f"{line.started:9.3f} s  Once upon\n{noon.started:9.3f} s  It is noon."


# -- who is there


@script()
async def test_two_callers_hear_the_same_agent(call: SimulatedCall) -> None:
    await call.silence(3.0)
    other = call.joined_by("bob")
    assert (other.room, other.lines, other.timeline) == (call.room, [], other.timeline)
    await call.say("what time is it")
    lines = await asyncio.gather(call.hears("noon"), other.hears("noon"))
    assert lines[0].started == lines[1].started
    assert [turn.caller for turn in other.turns] == ["caller"]
    await other.hang_up()
    await call.say("what time is it")
    await call.hears("noon")
    assert len(other.lines) == 1
    with pytest.raises(ValueError, match="'bob' is in the room already"):
        other.joined_by("bob").joined_by("bob")


@script()
async def test_who_hangs_up_hears_nothing_until_they_rejoin(call: SimulatedCall) -> None:
    await call.say("tell me a story")
    line = await call.hears("upon")
    await call.hang_up()
    assert line.over
    assert line.heard == "Once upon"
    await call.silence(30)
    assert call.lines == [line]
    await call.rejoin()
    await call.say("what time is it")
    await call.hears("noon")


@script()
async def test_a_room_that_was_given_up_begins_anew_and_still_owes(call: SimulatedCall) -> None:
    await call.say("look into boats")
    await call.hears("on it")
    left = call.now
    await call.hang_up()
    await call.silence(600)
    with pytest.raises(RuntimeError, match="given up, nobody was in it; somebody has to rejoin"):
        call.joined_by("bob")
    await call.rejoin()
    line = await call.hears("careful use.")
    assert line.started == at(left + 600 + 1.0)
    assert len(call.lines) == 2
    assert call.timeline[0].at == at(0.0)
    assert [m.at for m in call.timeline if isinstance(m.what, Joined)] == [at(0.0), at(left + 600)]
    assert (await statuses(call)) == [Status.HEARD]
    other = call.joined_by("bob")
    await call.say("what time is it")
    await other.hears("noon")


@script()
async def test_a_room_is_kept_for_a_minute_after_the_last_caller(call: SimulatedCall) -> None:
    await call.silence(50)
    await call.hang_up()
    await call.silence(55)
    call.joined_by("bob")


async def statuses(call: SimulatedCall) -> list[Status]:
    await call.silence(1)
    return [entry.status for entry in await call.runtime.ledger.entries(call.room, list(Status))]


# -- looking back


@script()
async def test_the_timeline_has_all_that_happened_at_its_exact_time(call: SimulatedCall) -> None:
    begun, ended = await call.say("look into boats")
    answer = await call.hears("meanwhile.")
    result = await call.hears("careful use.")
    kinds = (Joined, TurnEnded, SpeakingStarted, Left)
    happened = [(m.at, type(m.what)) for m in call.timeline if isinstance(m.what, kinds)]
    turn_over = ended + TURN
    assert happened == [
        (at(0.0), Joined),
        (at(turn_over), TurnEnded),
        (at(turn_over + GRACE), SpeakingStarted),
        (at(result.started), SpeakingStarted),
    ]
    assert answer.ended is not None
    assert result.started == at(max(turn_over + SECOND, answer.ended + 1.0))
    assert SECOND > FIRST
    (turn,) = call.turns
    assert (turn.text, turn.started, turn.ended) == ("look into boats", at(begun), at(ended))
    assert [m.at for m in call.timeline] == sorted(m.at for m in call.timeline)


@script()
async def test_the_floor_and_when_it_opened(call: SimulatedCall) -> None:
    await call.say("what time is it")
    line = await call.hears("noon.")
    await call.runtime.deliver(call.room, "The boat is here.")
    result = await call.hears("boat is")
    assert [state for _, state in call.floor] == [
        FloorState.OPEN,
        FloorState.USER_HOLDS,
        FloorState.AGENT_OWES,
        FloorState.AGENT_AUDIBLE,
        FloorState.OPEN,
        FloorState.AGENT_OWES,
        FloorState.AGENT_AUDIBLE,
    ]
    assert line.ended is not None
    assert call.floor_opened(before=line) == at(0.0)
    assert call.floor_opened(before=result) == at(line.ended)
    assert call.floor_opened(before=line.ended - 0.1) == at(0.0)
    with pytest.raises(ValueError, match="never open before"):
        call.floor_opened(before=-1.0)
    changes = [m for m in call.timeline if isinstance(m.what, FloorChanged)]
    assert len(changes) == len(call.floor) + 1  # the caller fell silent and still held the floor


# -- how fast, and how far apart


@script(pace=5.0, stt_delay=0.2, tts_delay=0.3)
async def test_pace_and_delays_are_kept(call: SimulatedCall) -> None:
    begun, ended = await call.say("what time is it")
    assert ended - begun == at(4 / 5)
    line = await call.hears("noon.")
    assert line.started == at(ended + TURN + 0.2 + 0.3)
    assert line.ended == at(line.started + 3 / 5)


@pytest.mark.parametrize(
    ("speech", "message"), [({"pace": 0}, "pace must be"), ({"tts_delay": -1}, "tts_delay must"), ({"pase": 2}, "pase")]
)
def test_impossible_speech_is_refused(speech: dict[str, float], message: str) -> None:
    async def main() -> None:
        async with simulate(house(), **speech):
            raise AssertionError("it began")

    with pytest.raises((ValueError, TypeError), match=message):
        run(main())


# -- the walls around it


def test_an_error_of_the_test_comes_out_as_it_is() -> None:
    error = LookupError("mine")

    async def main() -> None:
        async with simulate(house()) as call:
            await call.say("look into boats")
            raise error

    with pytest.raises(LookupError) as caught:
        run(main())
    assert caught.value is error


def test_a_script_that_waits_for_nothing_fails_and_says_where_it_waits() -> None:
    async def main() -> None:
        async with simulate(house()):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeLimitError, match=r"task 'Task-\d+' waits at .*test_simulation\.py:\d+ in .*main"):
        run(main())


def test_two_simulations_of_one_runtime_know_nothing_of_each_other() -> None:
    runtime = house()

    async def side(name: str, topic: str) -> tuple[float, list[str]]:
        async with simulate(runtime, caller=name) as call:
            await call.say(f"look into {topic}")
            line = await call.hears("My analysts say")
            await call.hears("careful use.")
            await call.silence(10)
            return line.started, [line.heard for line in call.lines]

    async def main() -> list[tuple[float, list[str]]]:
        return await asyncio.gather(side("ann", "boats"), side("bob", "trains"))

    (first, boats), (second, trains) = run(main())
    assert first == at(second)
    assert [line.replace("boats", "trains") for line in boats] == trains
    assert len(boats) == 2


def test_a_simulation_can_run_again_and_says_the_same_at_the_same_times() -> None:
    runtime = house()

    async def once() -> list[object]:
        async with simulate(runtime) as call:
            await call.say("look into boats")
            await call.hears("careful use.")
            return [(m.at, repr(m.what)) for m in call.timeline]

    assert run(once()) == run(once())


def test_nothing_is_written_and_the_runtime_itself_stays_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runtime = house()
    kept = Runtime(orchestration=runtime.orchestration, state=tmp_path / "state", rooms=["lobby"])

    async def script(call: SimulatedCall) -> None:
        assert call.runtime is not kept
        await call.say("look into boats")
        await call.hears("careful use.")
        with pytest.raises(Exception, match="not open"):
            await kept.enter("lobby")

    play(script, kept)
    assert list(tmp_path.iterdir()) == []


def test_the_copy_has_the_runtimes_hooks_and_strategy() -> None:
    runtime = house(delivery="queued")
    told: list[str] = []

    @runtime.hook(HookTrigger.AFTER_DELIVER)
    def after(event: HookEvent, context: HookContext) -> None:
        told.append(event.metadata["status"])

    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "One.")
        await call.runtime.deliver(call.room, "Two.")
        await call.hears("One. Two.")
        await call.silence(1)

    play(script, runtime)
    assert told == ["heard", "heard"]


def test_a_room_with_a_real_channel_cannot_be_played_with() -> None:
    class Real:
        room = type("Room", (), {"id": "lobby"})
        channel = object()

    with pytest.raises(TypeError, match="room 'lobby' has a real channel"):
        SimulatedCall(house(), Real(), "ann")  # type: ignore[arg-type]


def test_on_an_ordinary_loop_a_call_takes_its_time() -> None:
    async def main() -> tuple[float, float]:
        async with simulate(house(), pace=50.0) as call:
            began = call.now
            begun, _ = await call.say("wait", gap=0.01)
            return began, begun

    began, begun = asyncio.run(main())
    assert began + 0.01 <= begun
