"""What whole calls promise under every strategy, whatever models, workers, hooks, stores and callers do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.ledger import LedgerError
from orchestration import Agent, Loop, Pipeline, Supervisor, Swarm
from orchestration.models.watched import ModelSilentError, ToolLoopError
from orchestration.room_trouble import RoomError
from orchestration.store.trouble import StoreError
from orchestration.strategies.orchestration import Orchestration
from tests.orchestration.plays.models import Judge, Looker, Maker, Player
from tests.orchestration.plays.play import LINES, VOICES, Play, plays
from tests.orchestration.plays.stage import Stage
from tests.orchestration.plays.troupe import Planned, Troupe
from tests.orchestration.plays.verdict import Verdict
from tests.orchestration.plays.work import worker
from tests.orchestration.post import Talks
from voice.clock import run
from voice.making import TextError

EXPECTED = (Planned, ModelSilentError, ToolLoopError, TextError, StoreError, LedgerError, RoomError, OSError)
"""RoomError: the runtime is closing."""


def _agents(troupe: Troupe) -> list[Agent]:
    return [Agent(id, model=Player(troupe, id), description=f"For {id}.") for id in ("one", "two", "three")]


def swarm(troupe: Troupe) -> Orchestration:
    watch = Agent("watch", model=Looker(troupe))
    return Swarm(_agents(troupe), supervisor=watch, human=True)


def swarm_alone(troupe: Troupe) -> Orchestration:
    return Swarm(_agents(troupe), entry="one")


def pipeline(troupe: Troupe) -> Orchestration:
    return Pipeline(_agents(troupe))


def plain(troupe: Troupe) -> Orchestration:
    async def ponder() -> str:
        """Think."""
        await asyncio.sleep(1)
        return "pondered"

    return Talks(Agent("one", model=Player(troupe, "one")), tools=[ponder])


def supervisor(**how: Any) -> Callable[[Troupe], Orchestration]:
    def make(troupe: Troupe) -> Orchestration:
        return Supervisor(
            Agent("one", model=Player(troupe, "one")), [worker(troupe, "left"), worker(troupe, "right")], **how
        )

    return make


def loop(**how: Any) -> Callable[[Troupe], Orchestration]:
    def make(troupe: Troupe) -> Orchestration:
        maker, judge = Agent("maker", model=Maker(troupe)), Agent("judge", model=Judge(troupe))
        return Loop(maker, [judge], host=Agent("one", model=Player(troupe, "one")), **how)

    return make


TROUPES = {
    "swarm": swarm,
    "swarm alone": swarm_alone,
    "pipeline": pipeline,
    "plain": plain,
    "supervisor": supervisor(),
    "supervisor inline": supervisor(async_delivery=False),
    "parallel": supervisor(strategy="parallel"),
    "sequential background": supervisor(strategy="sequential", async_delivery=True),
    "auto": supervisor(auto_delegate=True),
    "auto inline": supervisor(auto_delegate=True, strategy="sequential", async_delivery=False),
    "auto plain": supervisor(auto_delegate=True, refine_task=False, async_delivery=False),
    "auto background": supervisor(auto_delegate=True, async_delivery=True),
    "loop": loop(),
    "loop inline": loop(async_delivery=False),
    "loop background": loop(async_delivery=True),
}


class Complaints(logging.Handler):
    """What the log must not have: errors that none of the doubles made."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        planned = error is None or isinstance(error, EXPECTED)
        if not planned or "its talk broke off" in record.getMessage() or record.name == "asyncio":
            self.found.append(f"{record.getMessage()} ({error!r})")


@pytest.fixture(scope="module", autouse=True)
def complaints() -> Iterator[None]:
    logs = [logging.getLogger("sottovoce"), logging.getLogger("asyncio")]
    for log in logs:
        log.addHandler(COMPLAINTS)
        log.propagate = False
    yield
    for log in logs:
        log.removeHandler(COMPLAINTS)
        log.propagate = True


COMPLAINTS = Complaints()


def act(play: Play, name: str, *, voices: bool, reads: bool) -> None:
    COMPLAINTS.found.clear()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: COMPLAINTS.found.append(str(context)))
        troupe = Troupe(play)
        troupe.begin("one")
        stage = Stage(troupe, TROUPES[name], reads=reads)
        troupe.strict = not (voices and reads)
        await stage.play(play.steps, voices=voices)
        Verdict(stage).judge()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something is left running"

    run(main())
    assert not COMPLAINTS.found, COMPLAINTS.found


NAMES = st.sampled_from(list(TROUPES))
assert settings.default is not None
EXAMPLES = settings.default.max_examples * 3 // 10
SOME = settings(max_examples=EXAMPLES)


@SOME
@given(plays(VOICES, 14), NAMES)
def test_a_call_that_is_heard(play: Play, name: str) -> None:
    act(play, name, voices=True, reads=False)


@SOME
@given(plays(LINES, 14), NAMES)
def test_a_call_that_is_written(play: Play, name: str) -> None:
    act(play, name, voices=False, reads=True)


@SOME
@given(plays(st.one_of(VOICES, LINES), 14), NAMES)
def test_a_call_where_some_speak_and_some_write(play: Play, name: str) -> None:
    act(play, name, voices=True, reads=True)
