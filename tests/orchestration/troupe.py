"""A troupe for whole calls drawn at random: models of every mood, workers, hooks and stores that stumble, callers who
speak or write; and an account of its own of what was asked, said, heard and handed over."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from delivery.desk import Refuse
from delivery.ledger import Entry, Status
from orchestration import InboundMessage, InboundResult, TextContent
from orchestration.asked import current
from orchestration.engines.memory import MemoryEngine
from orchestration.event import RoomEvent
from orchestration.hooks import HookContext, HookEvent, HookExecution, HookTrigger
from orchestration.models.model import Delta, Message, Role, TextDelta, ToolCall, ToolSpec, word_by_word
from orchestration.models.scripted import RESULT as FENCED
from orchestration.runtime import Runtime
from orchestration.state import get_conversation_state
from orchestration.store.memory import MemoryRoomStore
from orchestration.store.trouble import StoreError
from orchestration.strategies.orchestration import Orchestration
from orchestration.strategies.supervised import REFINE
from orchestration.workers import Context, FunctionWorker
from tests.delivery.house import Door
from tests.orchestration.post import Reader
from voice.channel import APOLOGY, Text, random_id
from voice.clock import now
from voice.events import Deafened, Event, Left, Turn, TurnEnded
from voice.floor import FloorChanged
from voice.simulated import SimulatedCaller, SimulatedChannel

ROOM = "lobby"
PEOPLE = ("anna", "bert")
READERS = ("ws", "sms")
TURN = re.compile(r"\bt(\d+)\b")
FOUND = re.compile(r"\bf\d+x\d+\b")
"""A word of what a worker found: which run of which worker, and which word."""
LONG = "and so it went on and on for a good while until all of them had had enough of it"


class Planned(Exception):  # noqa: N818 - a double raises it on purpose
    """What the doubles raise."""


@dataclass(frozen=True)
class Say:
    who: str
    size: int


@dataclass(frozen=True)
class Sound:
    who: str
    what: str


@dataclass(frozen=True)
class Come:
    who: str


@dataclass(frozen=True)
class Go:
    who: str
    drop: bool = False


@dataclass(frozen=True)
class Write:
    who: str
    channel: str


@dataclass(frozen=True)
class Mood:
    """How a channel takes what is sent to it next."""

    channel: str
    mood: float | None
    """Seconds; None: it fails."""


@dataclass(frozen=True)
class Trouble:
    """So many refusals of the store and of the ledger, which are slow."""

    store: int
    ledger: int
    slow: float


@dataclass(frozen=True)
class Restart:
    pass


Step = Say | Sound | Come | Go | Write | Mood | Trouble | Restart
WAITS = st.sampled_from([0.0, 0.1, 0.4, 1.0, 1.5, 3.0, 6.0, 12.0])
SAYS = st.builds(Say, st.sampled_from(PEOPLE), st.integers(0, 3))
VOICES = st.one_of(
    *[SAYS] * 6,
    st.builds(Sound, st.sampled_from(PEOPLE), st.sampled_from(["mm-hm", "okay", "stop", "noise"])),
    st.builds(Come, st.sampled_from(PEOPLE)),
    st.builds(Go, st.sampled_from(PEOPLE), st.booleans()),
)
WRITES = st.builds(Write, st.sampled_from(PEOPLE), st.sampled_from(READERS))
LINES = st.one_of(*[WRITES] * 4, st.builds(Mood, st.sampled_from(READERS), st.sampled_from([None, 0.5, 3.0, 40.0])))
TROUBLES = st.one_of(
    *[st.builds(Trouble, st.integers(0, 2), st.integers(0, 2), st.sampled_from([0.0, 0.3]))] * 2, st.just(Restart())
)
ANSWERS = ["say", "say", "say", "long", "slow", "ask", "fail", "fail late", "stall", "silent", "dots"]
ACTS = ["hand", "hand", "hand", "say and hand", "hand twice", "hand wrong", "work", "work", "work", "work twice"]
ACTS += ["unknown", "bad", "status", "cancel", "recall", "work and hand"]
MOODS = st.lists(st.sampled_from([*ANSWERS, *ACTS]), min_size=3, max_size=10)
HOOKS = st.lists(st.sampled_from(["", "", "", "", "", "refuse", "rewrite", "fail"]), min_size=1, max_size=5)
JOBS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 1.0, 4.0, 20.0]), st.sampled_from(["find", "find", "find", "fail", "mute"])),
    min_size=1,
    max_size=4,
)


@dataclass(frozen=True)
class Play:
    """All that is drawn."""

    steps: Sequence[tuple[float, Any]]
    moods: Sequence[str]
    jobs: Sequence[tuple[float, str]]
    hooks: Sequence[str]


def plays(steps: Any, longest: int) -> st.SearchStrategy[Play]:
    """Plays of steps of this kind, here and there with trouble."""
    each = st.tuples(WAITS, st.one_of(*[steps] * 8, TROUBLES))
    return st.builds(Play, st.lists(each, min_size=longest // 2, max_size=longest), MOODS, JOBS, HOOKS)


class Store(MemoryRoomStore):
    """It is away now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0
        self.takes = 0.0

    async def save(self, room: str, metadata: Any, version: int) -> int:
        await self._pass()
        return await super().save(room, metadata, version)

    async def add(self, room: str, events: Sequence[RoomEvent]) -> None:
        await self._pass()
        await super().add(room, events)

    async def _pass(self) -> None:
        if self.takes:
            await asyncio.sleep(self.takes)
        if self.refusals:
            self.refusals -= 1
            raise StoreError("the store is away")


class Ledger(Door):
    """It stays what it is when it is opened again."""


@dataclass
class Asked:
    """A turn, as it was let into the room."""

    id: str
    caller: str
    text: str
    holder: str | None
    at: float


@dataclass
class Said:
    """An utterance of a channel's."""

    utterance: Any
    reply_to: Turn | None
    channel: Channel


class Channel(SimulatedChannel):
    """Notes what is taken in and said."""

    def __init__(self, troupe: Troupe) -> None:
        super().__init__()
        self._new_id = random_id
        self._troupe = troupe
        self.people: dict[str, SimulatedCaller] = {}
        self.taken: list[Turn] = []
        self.left: list[tuple[float, str]] = []

    async def __aenter__(self) -> Channel:
        await super().__aenter__()
        self.listen(self._note)
        return self

    def _note(self, event: Event | FloorChanged, at: float) -> None:
        if isinstance(event, TurnEnded):
            self.taken.append(event.turn)
        if isinstance(event, Left | Deafened):
            self.left.append((at, event.caller))

    def say(self, text: Text, *, reply_to: Turn | None = None, **more: Any) -> Any:
        utterance = super().say(text, reply_to=reply_to, **more)
        self._troupe.said.append(Said(utterance, reply_to, self))
        return utterance


class Troupe:
    """One play: what the doubles do, and the account."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self.turns = 0
        self.asked: dict[str, Asked] = {}
        self.refused: set[str] = set()
        """Turns that a hook refused, or made nothing of."""
        self.askers: dict[int, str] = {}
        self.said: list[Said] = []
        self.told: list[RoomEvent] = []
        """By AFTER_BROADCAST."""
        self.handoffs: list[tuple[float, str | None]] = []
        self.steps_of_phase: list[tuple[float, str | None, str | None]] = []
        self.faults: list[str] = []
        self.models: list[tuple[float, str, int | None]] = []
        self.found: dict[int, str] = {}
        """Who asked for what was found."""
        self.delegated: dict[str, str | None] = {}
        """Tasks, and for whom they are done."""
        self.moods_used: set[str] = set()
        self.strict = True
        """One turn is answered after the other: not where some speak and others write, who do not wait for them."""
        self._handing: tuple[str | None] | None = None
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.holder: str | None = None
        self.holders: list[tuple[float, str | None]] = []

    def draw(self, what: str, options: Sequence[Any]) -> Any:
        """The next of what was drawn."""
        self.counts[what] += 1
        return options[(self.counts[what] - 1) % len(options)]

    def begin(self, holder: str | None) -> None:
        """Who has the conversation before anybody handed it over."""
        self.holder = holder
        self.holders.append((now(), holder))

    # -- the doubles

    def work(self, id: str) -> FunctionWorker:
        """A worker."""

        async def job(input: str, context: Context) -> str:
            return await self._job(context.task.input)

        return FunctionWorker(id, job, id.capitalize())

    async def _job(self, input: str) -> str:
        seconds, how = self.draw("job", self._play.jobs)
        number = self.counts["job"]
        if asker := TURN.search(input.partition("This was said before")[0]):
            self.found[number] = self.askers[int(asker[1])]
        await asyncio.sleep(seconds)
        if how == "fail":
            raise Planned("the work failed")
        return "" if how == "mute" else " ".join(f"f{number}x{n}" for n in range(4)) + "."

    # -- hooks

    def hook(self, runtime: Runtime) -> None:
        """Have the hooks of a troupe in a runtime."""
        sync = HookExecution.SYNC
        runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=sync)(self._before)
        runtime.hook(HookTrigger.AFTER_BROADCAST, execution=sync)(self._after)
        runtime.hook(HookTrigger.ON_HANDOFF, execution=sync)(self._handed)
        runtime.hook(HookTrigger.ON_PHASE_TRANSITION, execution=sync)(self._stepped)
        runtime.hook(HookTrigger.BEFORE_DELIVER, execution=sync)(self._meddle)
        runtime.hook(HookTrigger.ON_TASK_DELEGATED, execution=sync)(self._delegated)

    def _before(self, event: RoomEvent, context: HookContext) -> RoomEvent | str | None:
        asks = event.category == "transport"
        try:
            changed = self._meddle_with(event.text)
        except Refuse:
            if asks:
                self.refused.add(event.id)
            raise
        finally:
            if asks and event.id not in self.asked:
                self.asked[event.id] = Asked(event.id, event.sender_id, event.text, self.holder, now())
        return changed

    def _after(self, event: RoomEvent, context: HookContext) -> None:
        if not event.id.startswith(("handoff-", "child-")):
            self.told.append(event)

    def _handed(self, event: HookEvent, context: HookContext) -> None:
        self.handoffs.append((now(), event.metadata["to_agent"]))
        self._handing = (event.metadata["to_agent"],)

    def _stepped(self, event: HookEvent, context: HookContext) -> None:
        giver, self.holder = event.metadata["from_agent"], event.metadata["to_agent"]
        if self._handing not in (None, (self.holder,)):
            self.fault(f"handed over to {self._handing}, and then to {self.holder}")
        self._handing = None
        self.holders.append((now(), self.holder))
        self.steps_of_phase.append((now(), giver, self.holder))

    def _delegated(self, event: HookEvent, context: HookContext) -> str | None:
        self.delegated[event.id] = event.metadata["caller"]
        try:
            return self._meddle_with(event.text)
        except Refuse:
            del self.delegated[event.id]
            raise

    def _meddle(self, event: HookEvent, context: HookContext) -> str | None:
        return self._meddle_with(event.text)

    def _meddle_with(self, text: str) -> str | None:
        match self.draw("hook", self._play.hooks):
            case "refuse":
                raise Refuse("not here")
            case "rewrite":
                return f"{text} indeed"
            case "fail":
                raise Planned("a hook failed")
        return None

    def fault(self, what: str) -> None:
        """Something that must not be."""
        self.faults.append(f"{now():.3f}: {what}")

    # -- models

    def model(self, agent: str) -> Player:
        """The model of an agent that talks."""
        return Player(self, agent)

    def mood(self) -> str:
        """What a model does next."""
        mood = str(self.draw("mood", self._play.moods))
        self.moods_used.add(mood)
        return mood

    def called(self, agent: str, messages: Sequence[Message], turn: int | None, first: bool) -> None:
        """An agent's model is asked for a part of an answer."""
        self.models.append((now(), agent, turn))
        _check_order(self, messages)
        asked = current()
        told = messages[-1].role is Role.USER and FENCED.search(messages[-1].text)
        if asked is not None and turn is not None and not told and f"t{turn}" not in asked.event.text.split():
            self.fault(f"{agent} is asked for t{turn}, and is to answer {asked.event.text!r}")
        if self.holder != agent and self.strict:
            since = [at for at, holder in self.holders][-1]
            self.fault(f"{agent} is asked for t{turn}, though {self.holder} has the conversation since {since:.3f}")

    @property
    def longest(self) -> float:
        """Seconds in which all that is owed can be told."""
        return 200.0 + 20.0 * self.counts["job"] + (100.0 if "stall" in self._play.moods else 15.0) * self.turns


@dataclass
class Player:
    """A model of changing moods."""

    troupe: Troupe
    agent: str
    name: str = "player"

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        last, turn = messages[-1], _turn(messages)
        fenced = FENCED.search(last.text) if last.role is Role.USER else None
        mood = self.troupe.mood()
        specs = {tool.name: tool for tool in tools}
        if REFINE in prompt:
            words: list[Any] = ["" if mood == "silent" else f"look into t{turn}"]
        elif fenced or last.role is Role.TOOL:
            words = [_findings(messages)]
            if not fenced and mood.endswith("hand") and HAND in specs:
                words = [self._hand(specs, mood)]
        else:
            words = list(self._reply(mood, turn, specs))
        self.troupe.called(self.agent, messages, turn, last.role is Role.USER)
        await _ponder(mood)
        if mood == "silent":
            return
        if mood == "dots":
            words = ["..."]
        for word in words:
            if isinstance(word, str):
                for delta in word_by_word(word):
                    yield delta
            else:
                yield word
        if mood == "fail late":
            raise Planned("no network")

    def _reply(self, mood: str, turn: int | None, specs: dict[str, ToolSpec]) -> Sequence[str | ToolCall]:
        """To what a caller said."""
        name = f"re{turn} {self.agent}"
        begin = [each for each in specs if each.startswith("delegate_")]
        work = [ToolCall(f"w{n}", each, {"task": f"t{turn} please"}) for n, each in enumerate(begin)]
        again = [ToolCall(f"{call.id}b", call.name, call.arguments) for call in work]
        plain: dict[str, Sequence[str | ToolCall]] = {
            "long": [f"{name}. {LONG}. {LONG}."],
            "ask": [f"{name}?"],
            "unknown": [ToolCall("u", "no_such_tool", {})],
            "bad": [ToolCall("b", next(iter(specs), "none"), {"nonsense": [1]})],
            "work": work[:1],
            "work twice": [f"{name}. ", *work, *again] if work else [],
        }
        for mood_of, tool in (("status", "task_status"), ("cancel", "cancel_task"), ("recall", "recall")):
            plain[mood_of] = [ToolCall("t", tool, {})] if tool in specs else []
        if HAND in specs and mood in ("hand", "say and hand", "hand twice", "hand wrong", "work and hand"):
            return self._handing(mood, name, work, specs)
        return plain.get(mood) or [f"{name}."]

    def _handing(
        self, mood: str, name: str, work: Sequence[ToolCall], specs: dict[str, ToolSpec]
    ) -> Sequence[str | ToolCall]:
        """An answer with a handoff in it, or two."""
        if mood == "hand wrong":
            return [ToolCall("h", HAND, {"target": "nobody", "reason": "so", "summary": "so"})]
        first = self._hand(specs, mood)
        match mood:
            case "say and hand":
                return [f"{name}. ", first]
            case "hand twice":
                return [first, self._hand(specs, mood, "h2")]
            case "work and hand":
                return [*work, first]
        return [first]

    def _hand(self, specs: dict[str, ToolSpec], mood: str, id: str = "h") -> ToolCall:
        targets = specs[HAND].schema["properties"]["target"]["enum"]
        chosen = self.troupe.draw("target", range(7)) % len(targets)
        return ToolCall(id, HAND, {"target": targets[chosen], "reason": mood, "summary": "It is about this."})


HAND = "handoff_conversation"


async def _ponder(mood: str) -> None:
    """Think, as long as that takes in this mood."""
    if mood == "fail":
        raise Planned("no network")
    await asyncio.sleep({"stall": 75.0, "slow": 3.0}.get(mood, 0.2))


@dataclass
class Looker:
    """The model of who looks on."""

    troupe: Troupe
    name: str = "looker"

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        if "intervene" not in {tool.name for tool in tools}:
            self.troupe.fault("who looks on is asked for an answer")
        mood = self.troupe.mood()
        if mood == "fail":
            raise Planned("no network")
        if mood == "stall":
            await asyncio.sleep(75)
        if messages[-1].role is Role.USER and mood == "long":
            yield ToolCall("i", "intervene", {"message": "Mind the gap."})
        yield TextDelta("ok")


@dataclass
class Maker:
    """The model of an agent that works, and does not talk."""

    troupe: Troupe
    name: str = "maker"

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        asked = next((m.text for m in messages if TURN.search(m.text)), "")
        yield TextDelta(await self.troupe._job(asked))


@dataclass
class Judge:
    """The model of an agent that reviews."""

    troupe: Troupe
    name: str = "judge"

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        names = [tool.name for tool in tools]
        await asyncio.sleep(0.5)
        happy = self.troupe.draw("verdict", [True, False, True]) and messages[-1].role is Role.USER
        if happy and "approve_output" in names:
            yield ToolCall("a", "approve_output", {})
        else:
            yield TextDelta("Make it better.")


def _check_order(troupe: Troupe, messages: Sequence[Message]) -> None:
    """Every tool's result comes right after the call, as models will have it."""
    open_calls: list[str] = []
    for message in messages:
        if message.role is Role.TOOL:
            if message.call not in open_calls:
                troupe.fault(f"a result without its call: {message}")
            else:
                open_calls.remove(message.call)
        else:
            if open_calls:
                troupe.fault(f"calls without results: {open_calls}")
            open_calls = [call.id for call in message.tool_calls]
    if open_calls:
        troupe.fault(f"calls without results: {open_calls}")


def _turn(messages: Sequence[Message]) -> int | None:
    """The number of the turn that is asked."""
    for message in reversed(messages):
        if message.role is Role.USER and not FENCED.search(message.text):
            found = TURN.findall(message.text)
            return int(found[-1]) if found else None
    return None


def _findings(messages: Sequence[Message]) -> str:
    """What is to be told: all that was found since the caller spoke, and was not said."""
    words: dict[str, None] = {}
    for message in reversed(messages):
        if message.role is Role.USER and not FENCED.search(message.text):
            break
        if message.role is not Role.ASSISTANT:
            words |= dict.fromkeys(FOUND.findall(message.text))
        if message.role is Role.USER and FENCED.search(message.text):
            break
    return " ".join(["Well:", *sorted(words, key=lambda w: [int(n) for n in re.findall(r"\d+", w)]), "so."])


class Stage:
    """Where a play is given: a runtime that may be closed and opened again on the same stores, and a room in it."""

    def __init__(self, troupe: Troupe, orchestration: Callable[[Troupe], Orchestration], *, reads: bool) -> None:
        self.troupe = troupe
        self.ledger, self.store, self.engine = Ledger(), Store(), MemoryEngine()
        self.readers = {id: Reader(id) for id in READERS} if reads else {}
        self.people: dict[str, SimulatedCaller] = {}
        self.channels: list[Channel] = []
        self.answers: list[tuple[int, str, str, asyncio.Task[InboundResult]]] = []
        self.restarts = 0
        self._orchestration = orchestration(troupe)
        self.runtime: Runtime
        self._group: asyncio.TaskGroup

    async def play(self, steps: Sequence[tuple[float, Any]], *, voices: bool) -> None:
        """Do all of it, and let what is owed be told."""
        async with asyncio.TaskGroup() as self._group:
            await self.open()
            try:
                await self._play(steps, voices=voices)
                self.entries = await self.ledger.entries(ROOM, list(Status))
                self._compare_memories()
            finally:
                await self.close()

    async def _play(self, steps: Sequence[tuple[float, Any]], *, voices: bool) -> None:
        if voices:
            for name in PEOPLE:
                await self.do(Come(name))
        for wait, step in steps:
            await asyncio.sleep(wait)
            await self.do(step)
        await self.do(Trouble(0, 0, 0.0))
        for reader in self.readers.values():
            reader.mood.clear()
        if voices:
            for name in PEOPLE:
                await self.do(Come(name))
            await asyncio.sleep(self.troupe.longest)
        if self.readers:
            for name in PEOPLE:
                await self.do(Go(name))
            await asyncio.sleep(80)
            await asyncio.sleep(self.troupe.longest)

    async def open(self) -> None:
        runtime = self.runtime = Runtime(
            orchestration=self._orchestration,
            ledger=self.ledger,
            store=self.store,
            engine=self.engine,
            state=None,
            keep=None,
            channels=self._channel,
        )
        self.troupe.hook(runtime)
        await runtime.__aenter__()
        room = await runtime.create_room(ROOM)
        has = get_conversation_state(room).active_agent_id
        if self.restarts and room.handoff is not None and has != self.troupe.holder:
            self.troupe.fault(f"{has} has the conversation after a restart, not {self.troupe.holder}")
        for reader in self.readers.values():
            await runtime.attach_channel(ROOM, reader.channel)

    async def close(self) -> None:
        self.people.clear()
        await self.runtime.__aexit__(None, None, None)

    def _channel(self, room: object) -> Channel:
        channel = Channel(self.troupe)
        self.channels.append(channel)
        return channel

    async def do(self, step: Step) -> None:
        """One step of a play."""
        match step:
            case Say(who, size):
                if (caller := self._free(who)) is not None:
                    words = f"{self._next(who)} tell me more about that please"
                    self._speak(caller.say(" ".join(words.split()[: 2 + 2 * size])))
            case Sound(who, what):
                if (caller := self._free(who)) is not None:
                    self._speak(caller.noise(1.5) if what == "noise" else caller.say(what))
            case Come(who):
                await self._come(who)
            case Go(who, drop):
                if who in self.people:
                    self.people[who].drop() if drop else self.people[who].hang_up()
            case Write() | Mood():
                self._do_in_writing(step)
            case Trouble(store, ledger, slow):
                self.store.refusals, self.store.takes = store, slow
                self.ledger.refusals, self.ledger.moving_takes = ledger, slow
            case Restart():
                await self._restart()

    async def _restart(self) -> None:
        """Close the runtime, and open another one on the same stores; callers come back."""
        await self.do(Trouble(0, 0, 0.0))
        self.restarts += 1
        here = [name for name, caller in self.people.items() if caller.caller.id in caller._channel.callers]
        await self.close()
        await self.open()
        for name in here:
            await self._come(name)

    def _do_in_writing(self, step: Write | Mood) -> None:
        match step:
            case Write(who, channel):
                message = InboundMessage(channel, who, TextContent(f"{self._next(who)} tell me"))
                task = self._group.create_task(self._written(message))
                self.answers.append((self.troupe.turns, who, channel, task))
            case Mood(channel, mood):
                if channel in self.readers:
                    self.readers[channel].mood.append(OSError("gone") if mood is None else mood)

    async def _written(self, message: InboundMessage) -> Any:
        try:
            return await self.runtime.process_inbound(message, room_id=ROOM)
        except Exception as error:
            return error

    def _next(self, who: str) -> str:
        self.troupe.turns += 1
        self.troupe.askers[self.troupe.turns] = who
        return f"t{self.troupe.turns}"

    def _free(self, who: str) -> SimulatedCaller | None:
        caller = self.people.get(who)
        there = caller is not None and caller.caller.id in caller._channel.callers
        return caller if there and caller is not None and not caller.speaking else None

    def _speak(self, sound: Any) -> None:
        self.channels[-1].run_script(sound)

    async def _come(self, who: str) -> None:
        session = await self.runtime.enter(ROOM)
        channel = session.channel
        assert isinstance(channel, Channel)
        if (caller := channel.people.get(who)) is None:
            caller = channel.people[who] = channel.join(who)
        else:
            caller.reconnect()
        self.people[who] = caller

    def _compare_memories(self) -> None:
        """What the agents remember is what was said."""
        room = self.runtime.room(ROOM)
        said = [e.text.split() for e in self.troupe.told]
        for agent in room.agents.values():
            messages = room.memory.messages(agent)
            words = [_uncut(m.text).split() for m in messages if m.role is not Role.TOOL and not m.tool_calls]
            words = [each for each in words if each]
            expected = said[-len(words) :] if words else []
            if words != expected or (len(messages) < 40 and len(words) < len(said)):
                first = next((n for n, (a, b) in enumerate(zip(words, expected, strict=False)) if a != b), None)
                self.troupe.fault(f"{agent.id} remembers otherwise at {first}: {words}, and this was said: {said}")

    # -- judging

    @property
    def lines(self) -> list[tuple[str, Any]]:
        """(who heard it, what)."""
        return [(who, line) for channel in self.channels for who, c in channel.people.items() for line in c.lines]

    def judge(self) -> None:
        """Raises AssertionError."""
        troupe = self.troupe
        assert not troupe.faults, "\n".join(troupe.faults)
        self._turns_heard()
        self._turns_written()
        self._broadcasts()
        self._results()

    def _turns_heard(self) -> None:
        troupe = self.troupe
        for channel in self.channels:
            for turn in channel.taken:
                asked = troupe.asked.get(turn.id)
                replies = [said for said in troupe.said if said.reply_to and said.reply_to.id == turn.id]
                if turn.id in troupe.refused:
                    assert not replies, f"{turn.text!r} was refused, and is answered"
                    continue
                if not replies:
                    cut = asked is None or self._with_human(asked.at) or self._ended(channel, turn)
                    assert cut, f"{turn.text!r} of {turn.caller} is not answered"
                    continue
                overdue = (
                    replies[0].utterance.text == APOLOGY
                )  # it waited for another's; what comes of it is said still
                assert len(replies) <= 2 + overdue, f"{turn.text!r} is answered {len(replies)} times"
                first = replies[0].utterance
                assert first.done
                if len(replies) > 1:
                    assert overdue or first.interrupted_by == "failed", (
                        f"{turn.text!r} is answered twice: {first.interrupted_by}"
                    )
                elif not first.complete:
                    assert first.interrupted_by, first
                    if first.interrupted_by == "failed":
                        left = self._ended(channel, turn) or self._gone(channel, turn)
                        assert left, f"nobody said sorry for {turn.text!r}"

    def _ended(self, channel: Channel, turn: Turn) -> bool:
        """The talk ended before it could be answered."""
        return channel is not self.channels[-1] or not channel._open

    def _with_human(self, since: float) -> bool:
        """Nobody had the conversation at some time since then."""
        holders = self.troupe.holders
        before = [holder for at, holder in holders if at <= since][-1:]
        return None in [*before, *(holder for at, holder in holders if at > since)]

    def _gone(self, channel: Channel, turn: Turn) -> bool:
        return any(at >= turn.ended and who == turn.caller for at, who in channel.left)

    def _turns_written(self) -> None:
        troupe = self.troupe
        for number, who, channel, task in self.answers:
            result: Any = task.result()
            if isinstance(result, Exception):
                assert self.restarts, f"t{number}: {result!r}"
                continue
            if result.event is None:
                assert result.refused, f"t{number} is neither answered nor refused"
                continue
            asked = troupe.asked[result.event.id]
            if result.reply is None and not result.refused:
                excused = self._with_human(asked.at) or channel in self.faltered
                assert excused, f"t{number} of {who} has no answer"
            if result.reply is not None:
                assert result.reply.text.strip(), f"t{number} has an empty answer"

    @property
    def faltered(self) -> Sequence[str]:
        return READERS if self.moody else ()

    moody = False

    def _broadcasts(self) -> None:
        troupe = self.troupe
        times = Counter(event.id for event in troupe.told)
        assert not [id for id, n in times.items() if n > 1], "AFTER_BROADCAST twice"
        for said in troupe.said:
            utterance = said.utterance
            heard = {line.heard.strip() for _, line in self.lines if line.utterance is utterance} - {""}
            if utterance.reply_to and utterance.text.strip() == APOLOGY:
                continue
            if said.reply_to is None and any(_same(event.text, utterance.text) for event in troupe.told):
                continue  # what was written to somebody is said aloud too
            assert (utterance.id in times) == bool(utterance.heard.strip(" .")), (
                f"{utterance.heard!r}: told {times[utterance.id]}"
            )
            event = next((e for e in troupe.told if e.id == utterance.id), None)
            if event is not None and heard:
                assert any(_same(event.text, each) for each in heard), f"told {event.text!r}, heard {heard}"
        for id, asked in troupe.asked.items():
            if id not in troupe.refused and id not in times:
                assert self.restarts, f"{asked.text!r} was let in, and not told"

    def heard_words(self, who: str | None) -> Counter[str]:
        """Words of results that came to somebody by voice or in writing, whoever else had them."""
        words: Counter[str] = Counter()
        for name, line in self.lines:
            if who in (None, name):
                words.update(FOUND.findall(line.heard))
        events: dict[str, RoomEvent] = {}
        for reader in self.readers.values():
            events |= {event.id: event for event in reader.got if event.category != "transport"}
        for *_, task in self.answers:
            result: Any = task.result()
            if not isinstance(result, Exception) and result.reply:
                events[result.reply.id] = result.reply
        voiced = {said.utterance.id for said in self.troupe.said}
        for event in events.values():
            if event.id not in voiced and not event.id.startswith("child"):
                words.update(FOUND.findall(event.text))
        return words

    def _results(self) -> None:
        known = {entry.delivery.task: entry for entry in self.entries if entry.delivery.task}
        for entry in known.values():
            self._judge_result(entry)
        cancelled = "cancel" in self.troupe.moods_used
        lost = [id for id in self.troupe.delegated if id not in known and not cancelled]
        assert not lost or self.restarts, f"no result of {lost}"
        if not self.troupe.moods_used & {"recall", "fail late"}:
            self._judge_repetition()
        voiced = {said.utterance.id for said in self.troupe.said}
        for reader in self.readers.values():
            for event in reader.got:
                if "deliveries" in event.metadata and event.id not in voiced:
                    to = {self.troupe.found.get(int(word[1:].partition("x")[0])) for word in FOUND.findall(event.text)}
                    ways = {who: {c for _, w, c, _ in self.answers if w == who} for who in to}
                    assert all(reader.id in ways[who] for who in to), (
                        f"{event.text!r} is for {to}, and {reader.id} has it"
                    )

    def _judge_repetition(self) -> None:
        """Nobody hears or reads a result twice, unless the answer that told it came to no end."""
        for channel in self.channels:
            for who, caller in channel.people.items():
                gone = [at for at, left in channel.left if left == who]
                whole = [
                    line
                    for line in caller.lines
                    if line.utterance.reply_to is None
                    or (line.utterance.complete and not any(line.started <= at <= (line.ended or at) for at in gone))
                ]
                words = Counter(word for line in whole for word in FOUND.findall(line.heard))
                # What was said for another one, who was away, is said again.
                twice = [word for word, times in words.items() if times > 1 and self._asker(word) == who]
                assert not twice, f"{who} heard {twice} twice"
        if self.restarts or self.channels:
            return  # what was on its way to readers may have come to them; what is said again they read again
        for reader in self.readers.values():
            events = [e for e in reader.got if e.metadata.get("complete", True)]
            words = Counter(word for event in events for word in FOUND.findall(event.text))
            twice = [word for word, times in words.items() if times > 1]
            assert not twice, f"{reader.id} has {twice} twice"

    def _asker(self, word: str) -> str | None:
        return self.troupe.found.get(int(word[1:].partition("x")[0]))

    def _judge_result(self, entry: Entry) -> None:
        delivery, words = entry.delivery, FOUND.findall(entry.delivery.content)
        numbers = {int(word[1:].partition("x")[0]) for word in words}
        askers = {self.troupe.found[n] for n in numbers if n in self.troupe.found}
        assert askers <= {delivery.to}, f"{delivery.content!r} was asked for by {askers}, and goes to {delivery.to}"
        assert entry.status.terminal, f"{delivery.content!r} of {delivery.to} is owed for ever: {entry.status}"
        ends = {"heard", "dead", *(["refused"] if "refuse" in self.troupe._play.hooks else [])}
        ends |= {"cancelled"} if "cancel" in self.troupe.moods_used else set()
        assert entry.status in ends, f"{delivery.content!r} of {delivery.to} ends as {entry.status} ({entry.reason})"
        heard = self.heard_words(delivery.to)
        if entry.status == "heard":
            missing = [word for word in words if not heard[word]]
            assert not missing, f"{missing} count as heard by {delivery.to}, and were not"


def _uncut(text: str) -> str:
    return text.removesuffix("(cut off here)").removesuffix(" ")


def _same(one: str, other: str) -> bool:
    """But for dots, which nobody hears."""
    words = [[word for word in text.split() if any(map(str.isalnum, word))] for text in (one, other)]
    return words[0] == words[1]
