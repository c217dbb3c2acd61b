"""Preemptive replies against patient ones: the same plays are given twice, and nothing but the time may differ.

The model is a function of what it is asked, so that the two plays of a scene can be compared: what is heard, told,
remembered, run and delivered is the same, and no later.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.desk import Refuse
from delivery.ledger import Status
from orchestration import Agent, HookExecution, HookTrigger, Loop, Orchestration, Pipeline, Runtime, Supervisor, Swarm
from orchestration.asked import current
from orchestration.models.model import Delta, Message, Role, TextDelta, ToolCall, ToolSpec, Usage, word_by_word
from orchestration.models.scripted import RESULT as FENCED
from orchestration.preemptive import METADATA, MOST
from orchestration.simulation import SimulatedCall, simulate
from orchestration.usage import charge
from orchestration.workers import FunctionWorker
from tests.orchestration.post import Talks
from voice.clock import now, run
from voice.endpointing import FixedSilence
from voice.events import Event, TurnEnded, TurnForeseen
from voice.floor import FloorChanged
from voice.stt.recognizer import EagerEnd, Partial, Resumed

SCENE = 200.0
"""Seconds a scene has: a model that hangs is given up after 60."""
HAND = "handoff_conversation"
LONG = "and so it went on and on for a good while until all of them had had enough of it"
TICK = 0.021


@dataclass(frozen=True)
class Speak:
    """Words and pauses, short enough for one turn; what the recogniser announces meanwhile, after so many seconds."""

    who: int
    words: Sequence[str]
    pauses: Sequence[float]
    announced: Sequence[tuple[float, str]]
    gone: float | None
    """Seconds after the last word in which they hang up."""
    cut: float | None
    """Seconds after the reply began that they cut in."""


@dataclass(frozen=True)
class Put:
    """A result comes beside, after so many seconds."""

    after: float


@dataclass
class Account:
    """What is to be the same, and what must not be."""

    heard: list[tuple[str, int, str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    hooked: list[tuple[str, str]] = field(default_factory=list)
    ran: list[tuple[str, str]] = field(default_factory=list)
    memory: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    ledger: list[tuple[str, str, str]] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    wanted: int = 0
    requests: int = 0
    open: int = 0
    paid: int = 0
    counted: int = 0
    faults: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)


def plain(text: str) -> str:
    """Without the times, and what is drawn at random anew in each play: names of tasks, and of fences."""
    return re.sub(r"[0-9a-f]{16,}|\d\d:\d\d:\d\d", "#", text)


class Mind:
    """A model whose answer is a function of what it is asked."""

    name = "mind"

    def __init__(self, account: Account, agent: str, seed: int) -> None:
        self._account, self._agent, self._seed = account, agent, seed

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        self._account.requests += 1
        self._account.open += 1
        try:
            async for delta in self._answer(messages, prompt, tools):
                yield delta
        except (GeneratorExit, asyncio.CancelledError):
            self._account.paid += 1
            charge(Usage(self.name, 10, 0, cost=0.01))
            raise
        finally:
            self._account.open -= 1
        self._account.paid += 1
        yield Usage(self.name, 10, 1, cost=0.01)

    async def _answer(
        self, messages: Sequence[Message], prompt: str, tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[Delta, None]:
        last = messages[-1]
        shown = repr([(m.role, m.text, m.tool_calls) for m in messages]) + prompt + str(sorted(t.name for t in tools))
        draw = crc32(f"{self._seed} {self._agent} {plain(shown)}".encode())
        words = last.text.split()
        await asyncio.sleep((0.0, 0.05, 0.2, 0.4, 0.55, 0.7, 1.2, 3.0)[draw % 8])
        if last.role is Role.TOOL:
            yield TextDelta(f"Done with it by {self._agent}.")
            return
        if FENCED.search(last.text):
            yield TextDelta(f"Well: {' '.join(re.findall(r'(?:result|found) .*', last.text))[:60]}.")
            return
        name = f"{self._agent} on {draw % 1000} {words[-1] if words else ''}"
        if "fail" in words:
            raise OSError("no network")
        if "hang" in words:
            await asyncio.sleep(1000)
        if calls := list(self._calls(words, draw, {tool.name: tool for tool in tools})):
            if "say" in words:
                yield TextDelta(f"{name}. ")
            for call in calls:
                yield call
            return
        text = f"{name}. {LONG}. {LONG}." if "long" in words else f"{name}."
        for delta in word_by_word(text):
            if "slow" in words:
                await asyncio.sleep(0.3)
            yield delta
        if "late" in words:
            raise OSError("no network")

    def _calls(self, words: Sequence[str], draw: int, specs: dict[str, ToolSpec]) -> Iterator[ToolCall]:
        """The tools that it uses."""
        if "hand" in words and HAND in specs:
            targets = specs[HAND].schema["properties"]["target"]["enum"]
            yield ToolCall(f"h{draw}", HAND, {"target": targets[draw % len(targets)], "reason": "so", "summary": "it"})
        elif "tool" in words and "look" in specs:
            yield ToolCall(f"l{draw}", "look", {"what": str(draw % 100)})
        elif "work" in words:
            for n, each in enumerate(each for each in specs if each.startswith("delegate_")):
                yield ToolCall(f"w{draw}{n}", each, {"task": f"work {draw % 100}"})


def _looks(account: Account) -> Any:
    async def look(what: str) -> str:
        """Look."""
        asked = current()
        assert asked is not None
        if asked.event.id not in account.ended:
            account.faults.append(f"{now():.2f}: a tool runs before its turn has ended")
        account.ran.append(("look", what))
        await asyncio.sleep(0.5)
        return f"seen {what}"

    return look


def _worker(account: Account, id: str, seconds: float) -> FunctionWorker:
    async def work(input: str, context: Any) -> str:
        account.ran.append((id, input))
        await asyncio.sleep(seconds)
        return f"found by {id} {input}"

    return FunctionWorker(id, work, id.capitalize())


def orchestration(name: str, account: Account, seed: int) -> Orchestration:
    def agent(id: str) -> Agent:
        return Agent(id, model=Mind(account, id, seed), description=f"For {id}.", tools=[_looks(account)])

    workers = [_worker(account, "left", 1.0), _worker(account, "right", 4.0)]
    three = [agent(id) for id in ("one", "two", "three")]
    match name:
        case "talks":
            return Talks(three[0])
        case "swarm":
            return Swarm(three, entry="one")
        case "pipeline":
            return Pipeline(three)
        case "supervisor":
            return Supervisor(three[0], workers)
        case "inline":
            return Supervisor(three[0], workers, async_delivery=False)
        case "auto":
            return Supervisor(three[0], workers, auto_delegate=True, refine_task=False, strategy="parallel")
        case _:
            return Loop(Agent("maker", model=Mind(account, "maker", seed)), [three[1]], host=three[0])


NAMES = ["talks", "swarm", "pipeline", "supervisor", "inline", "auto", "loop"]


def _hooks(runtime: Runtime, account: Account) -> None:
    sync = HookExecution.SYNC

    def meddle(what: str, text: str, refuse: str, rewrite: str) -> str | None:
        account.hooked.append((what, plain(text)))
        if refuse in text.split():
            raise Refuse("not here")
        return f"{text} indeed" if rewrite in text.split() else None

    @runtime.hook(HookTrigger.ON_TRANSCRIPTION, execution=sync)
    async def transcribed(event: Any, context: Any) -> str | None:
        await asyncio.sleep(0.1 if "await" in event.text else 0)
        return meddle("transcribed", event.text, "mute", "change")

    @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=sync)
    async def before(event: Any, context: Any) -> str | None:
        return meddle("before", event.text, "refuse", "alter")

    @runtime.hook(HookTrigger.AFTER_BROADCAST, execution=sync)
    async def after(event: Any, context: Any) -> None:
        account.told.append((event.sender_id, event.text))
        ahead = event.metadata.get(METADATA)
        if ahead is not None and not 0 <= ahead["seconds"] < 20:
            account.faults.append(f"gained {ahead}")

    for trigger in (HookTrigger.ON_HANDOFF, HookTrigger.ON_TASK_DELEGATED, HookTrigger.ON_HANDOFF_REJECTED):

        @runtime.hook(trigger, execution=sync)
        async def noted(event: Any, context: Any, trigger: HookTrigger = trigger) -> None:
            account.hooked.append((trigger, plain(event.text)))


class Stage:
    """One play in one way."""

    def __init__(self, call: SimulatedCall, account: Account, *, cuts: bool) -> None:
        self.call, self.account, self.cuts = call, account, cuts
        self.calls = [call.joined_by("anna"), call.joined_by("bert")]
        self.number = 0
        self.foreseen: Counter[str] = Counter()
        call.caller._channel.listen(self._note)

    def _note(self, event: Event | FloorChanged, at: float) -> None:
        match event:
            case TurnEnded(turn):
                self.account.ended.add(turn.id)
            case TurnForeseen(turn):
                self.foreseen[turn.id] += 1
            case _:
                pass

    async def scene(self, steps: Sequence[Speak | Put]) -> None:
        until = self.call.now + SCENE
        async with asyncio.TaskGroup() as group:
            for step in steps:
                match step:
                    case Speak():
                        group.create_task(self._speak(step))
                    case Put(after):
                        self.number += 1
                        group.create_task(self._put(f"result {self.number}", after))
        assert self.call.now < until
        await asyncio.sleep(until - self.call.now)

    async def _put(self, text: str, after: float) -> None:
        await asyncio.sleep(after)
        await self.call.runtime.deliver(self.call.room, text, to="anna")

    async def _speak(self, speak: Speak) -> None:
        caller = self.calls[speak.who].caller
        if caller.caller.id not in caller._channel.callers:
            caller.reconnect()
        said = [word for word in speak.words if speak.cut is None or word != "slow"] or ["what"]
        announcing = [asyncio.ensure_future(self._announce(caller, *each)) for each in speak.announced]
        pauses = dict(zip(range(1, len(said)), speak.pauses, strict=False))
        begun = len(caller.lines)
        await caller.say(" ".join(said), pauses=[(n, s) for n, s in pauses.items() if s])
        if speak.gone is not None:
            await asyncio.sleep(speak.gone)
            caller.hang_up()
        elif speak.cut is not None and self.cuts:
            for _ in range(3000):
                await asyncio.sleep(0.02)
                if len(caller.lines) > begun:
                    await asyncio.sleep(caller.lines[begun].started + speak.cut - now())
                    await caller.say("no stop it now")
                    break
        for each in announcing:
            await each

    async def _announce(self, caller: Any, after: float, what: str) -> None:
        await asyncio.sleep(after)
        text = caller._recognizer._text
        match what:
            case "eager":
                caller.perceive(EagerEnd(text))
            case "resumed":
                caller.perceive(Resumed())
            case "other":
                caller.perceive(Partial(f"{text} please"))
            case "complete":
                caller.perceive(Partial(text, complete=True))

    async def end(self) -> None:
        account, runtime = self.account, self.call.runtime
        for number, each in enumerate(self.calls):
            for line in each.caller.lines:
                account.heard.append((each.caller.name, number, line.heard))
                account.starts.append(line.started)
        room = runtime.room(self.call.room)
        for agent in room.agents.values():
            account.memory[agent.id] = [(m.role, plain(m.text)) for m in room.memory.messages(agent)]
        entries = await runtime.ledger.entries(self.call.room, list(Status))
        account.ledger = [(str(e.delivery.to), e.delivery.content, str(e.status)) for e in entries]
        account.counted = runtime.usage()["requests"]
        if account.open:
            account.faults.append(f"{account.open} streams are open in the end")


def play(scenes: Sequence[Sequence[Speak | Put]], name: str, seed: int, *, preemptive: bool, eager: float) -> Account:
    account = Account()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: account.faults.append(str(context)))
        runtime = Runtime(orchestration=orchestration(name, account, seed), state=None)
        _hooks(runtime, account)
        async with simulate(
            runtime,
            room="lobby",
            caller="host",
            endpointer=FixedSilence(complete=0.6, eager=eager),
            preemptive=preemptive,
        ) as call:
            # Work that begins with the turn, and not with the answer, comes between otherwise when that is cut.
            stage = Stage(call, account, cuts=name != "auto")
            for scene in scenes:
                await stage.scene(scene)
            await stage.end()
            account.wanted = sum(min(n, MOST) for n in stage.foreseen.values())
        if account.open:
            account.faults.append(f"{account.open} streams are open after the call")
        if asyncio.all_tasks() != {asyncio.current_task()}:
            account.faults.append(f"left running: {asyncio.all_tasks()}")

    run(main())
    return account


def compare(scenes: Sequence[Sequence[Speak | Put]], name: str, seed: int, eager: float) -> None:
    patient = play(scenes, name, seed, preemptive=False, eager=eager)
    quick = play(scenes, name, seed, preemptive=True, eager=eager)
    assert not patient.faults + quick.faults, f"{patient.faults}, {quick.faults}"
    for what in ("heard", "told", "hooked", "ran", "memory", "ledger"):
        mine, theirs = getattr(quick, what), getattr(patient, what)
        assert mine == theirs, f"{what}: {mine} and not {theirs}"
    late = [(a, b) for a, b in zip(quick.starts, patient.starts, strict=True) if a > b + TICK]
    assert not late, f"later (with, without): {late}"
    assert quick.requests <= patient.requests + quick.wanted, f"{quick.requests} requests, {patient.requests} without"
    for each in (patient, quick):
        assert each.counted == each.paid, f"{each.paid} requests were made, {each.counted} are counted"


SAYINGS = "what about boats slow long tool say hand work fail late hang mute refuse change alter await ok yeah"
WORDS = st.lists(st.sampled_from(SAYINGS.split()), min_size=1, max_size=5)
PAUSES = st.lists(st.sampled_from([0.0, 0.0, 0.15, 0.3, 0.5]), min_size=4, max_size=4)
ANNOUNCED = st.lists(
    st.tuples(
        st.sampled_from([0.3, 0.5, 0.9, 1.3, 1.7, 2.2, 2.6]),
        st.sampled_from(["eager", "resumed", "other", "complete"]),
    ),
    max_size=3,
)


def speaks(who: int) -> st.SearchStrategy[Speak]:
    return st.builds(
        Speak,
        st.just(who),
        WORDS,
        PAUSES,
        ANNOUNCED,
        st.sampled_from([None, None, None, None, 0.05, 0.2, 0.4]),
        st.sampled_from([None, None, None, 0.3, 1.0]),
    )


ONE = st.lists(
    st.one_of(*[st.tuples(speaks(0))] * 2, st.tuples(speaks(1)), st.tuples(speaks(0), st.just(Put(0.1)))),
    min_size=1,
    max_size=4,
)
BOTH = st.lists(st.tuples(speaks(0), speaks(1)), min_size=1, max_size=3)
SEEDS, EAGER = st.integers(0, 50), st.sampled_from([0.1, 0.2, 0.4])


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    log = logging.getLogger("sottovoce")
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(logging.NOTSET)


assert settings.default is not None


SOME = settings(max_examples=settings.default.max_examples // 5)


@SOME
@given(ONE, st.sampled_from(NAMES), SEEDS, EAGER)
def test_only_the_time_differs(scenes: Any, name: str, seed: int, eager: float) -> None:
    compare(scenes, name, seed, eager)


@SOME
@given(BOTH, st.sampled_from(NAMES), SEEDS, EAGER)
def test_callers_who_speak_at_once_are_answered_ahead_at_no_risk(
    scenes: Any, name: str, seed: int, eager: float
) -> None:
    account = play(scenes, name, seed, preemptive=True, eager=eager)
    assert not account.faults, account.faults
    assert account.counted == account.paid
