"""Two callers in one room: each of them is answered, in order, and either can take the floor."""

from __future__ import annotations

from orchestration.simulation import SimulatedCall
from tests.scenarios.scenes import check_manners, house, near, play, said


def test_who_asks_while_the_other_s_reply_is_made_takes_nothing_from_them() -> None:
    async def script(call: SimulatedCall) -> None:
        bert = call.joined_by("bert")
        await call.interrupt("what time is it")
        await call.silence(0.7)  # the turn is over, the reply takes a second
        _, stopped = await bert.interrupt("tea or coffee")
        noon = await call.hears("noon.")
        question = await call.hears("tea or coffee?")
        assert near(noon.started, stopped + 0.6)
        assert noon.ended is not None
        assert near(question.started, noon.ended + 1.0)
        await call.silence(10)
        assert said(call) == said(bert) == ["It is noon.", "Do you want tea or coffee?"]
        check_manners(call)

    play(script, house(thinking=1.0))


def test_who_speaks_again_is_answered_once_and_the_other_all_the_same() -> None:
    async def script(call: SimulatedCall) -> None:
        bert = call.joined_by("bert")
        await bert.interrupt("tea or coffee")
        await call.silence(0.7)
        await call.interrupt("tell me a story")
        await call.silence(0.7)
        await call.interrupt("what time is it")
        await call.hears("noon")
        await call.silence(20)
        assert said(call) == ["Do you want tea or coffee?", "It is noon."]

    play(script, house(thinking=3.0))


def test_what_is_being_said_to_one_is_cut_by_the_other_who_is_answered_next() -> None:
    async def script(call: SimulatedCall) -> None:
        bert = call.joined_by("bert")
        await call.interrupt("tell me a story")
        story = await call.hears("Once upon a time")
        begun, stopped = await bert.interrupt("what time is it")
        noon = await call.hears("noon")
        assert story.interrupted
        assert story.ended is not None
        assert story.ended - begun <= 0.1
        assert near(noon.started, stopped + 0.6)
        await call.silence(20)
        assert len(call.lines) == 2

    play(script)


def test_who_hangs_up_is_not_waited_for() -> None:
    async def script(call: SimulatedCall) -> None:
        bert = call.joined_by("bert")
        await bert.interrupt("tell me a story")
        await call.silence(0.7)
        _, stopped = await call.interrupt("what time is it")
        await bert.hang_up()
        noon = await call.hears("noon")
        await call.silence(20)
        assert noon.started - stopped < 3.0
        assert "It is noon." in said(call)

    play(script, house(thinking=1.0))
