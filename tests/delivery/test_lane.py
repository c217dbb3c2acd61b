"""Lanes: what is alike is asked once, and the answers are those that every delivery would have had by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from delivery.lane import BREATH, TOGETHER
from delivery.ledger import Delivery, Entry, SpeakAs, Status
from delivery.line import Line
from delivery.message import Message
from delivery.pending import Next, Pending, Spoken
from delivery.strategies import Immediate, Queued, Strategy, WaitForIdle, idle_since
from tests.delivery.stage import ANNA, BERT, Stage
from voice.events import Left, ReplySettled, SpeechStarted, SpeechStopped
from voice.floor import Blocker, FloorState, FloorView


@dataclass(frozen=True)
class Alone(Strategy):
    """As `WaitForIdle`, but each delivery is asked for by itself."""

    name: ClassVar[str] = "test-alone"
    buffer: float = 1.0

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return idle_since(floor, self.buffer)


@dataclass(frozen=True)
class AloneMerging(Alone):
    name: ClassVar[str] = "test-alone-merging"
    merges: ClassVar[bool] = True


@dataclass(frozen=True)
class AloneNow(Strategy):
    name: ClassVar[str] = "test-alone-now"
    talks_over: ClassVar[bool] = True

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return Immediate().when(delivery, floor, now)


@dataclass(frozen=True)
class ByLength(Strategy):
    """Looks at the delivery: the longer, the later."""

    name: ClassVar[str] = "test-by-length"

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return idle_since(floor, float(len(delivery.content)))


@dataclass(eq=False)
class Mutable(Strategy):
    """Says that it is impartial, but cannot be compared."""

    name: ClassVar[str] = "test-mutable"
    impartial: ClassVar[bool] = True
    __hash__: ClassVar[None] = None  # type: ignore[assignment]
    buffer: float = 1.0

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return idle_since(floor, self.buffer)


STRATEGIES: list[Strategy] = [
    Immediate(),
    Immediate(),
    WaitForIdle(1.0),
    WaitForIdle(1.0),
    WaitForIdle(2.0),
    Queued(1.0),
    Queued(2.0),
    ByLength(),
    Mutable(),
]
FLOORS = [
    (FloorState.OPEN, None),
    (FloorState.OPEN, None),
    (FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING),
    (FloorState.AGENT_OWES, Blocker.REPLY),
    (FloorState.USER_HOLDS, Blocker.CALLER_SPEAKING),
    (FloorState.EMPTY, Blocker.NOBODY),
]


class Naive:
    """The same answers without lanes: every delivery is looked at."""

    def __init__(self, line: Line, items: list[Pending]) -> None:
        self.line = line
        self.items = sorted(items, key=lambda i: i.order)

    def due(self, item: Pending) -> float | None:
        line = self.line
        may_cut = item.talks_over and all(
            not s.message.over or item.delivery.priority > s.priority for s in line.spoken.values()
        )
        if (line.spoken and not may_cut) or not line.may(item):
            return None
        return item.when(line.floor, line.now)

    def head(self) -> Pending | None:
        now, ranked = self.line.now, []
        for item in self.items:
            if (due := self.due(item)) is not None:
                at_once = item.talks_over and due <= now
                ranked.append((not at_once, -item.delivery.priority, max(due, now), item.seq, item.id))
        return next((i for i in self.items if ranked and i.id == min(ranked)[-1]), None)

    def wake(self) -> float | None:
        now = self.line.now
        times = [i.retry_at for i in self.items]
        times += [due for i in self.items if (due := self.due(i)) is not None]
        times += [i.expires for i in self.items]
        return min((t for t in times if now < t < math.inf), default=None)

    def together(self, head: Pending) -> list[Pending]:
        due = self.due(head)
        if not head.strategy.merges or due is None:
            return [head]
        by = max(due, self.line.now)
        alike = [i for i in self.items if i.strategy.merges and i.delivery.to == head.delivery.to]
        return [i for i in alike if (d := self.due(i)) is not None and d <= by][:TOGETHER]

    def urgent(self) -> Pending | None:
        spoken = self.line.spoken.values()
        rank = max((s.priority for s in spoken), default=math.inf)
        over = any(s.message.over for s in spoken)
        found = [i for i in self.items if not over and i.delivery.priority > rank and self.line.would(i)]
        return found[0] if found else None

    def overdue(self) -> Pending | None:
        return next((i for i in self.items if i.overdue_from <= self.line.now and self.line.would(i)), None)

    def expired(self) -> list[Pending]:
        return [i for i in self.items if i.expires <= self.line.now and i.id not in self.line.carried]


class Choices(RuleBasedStateMachine):
    """Anything happens to the line; asked, it says what looking at all of them says."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self.line.pass_time(0.0)
        self.waiting: dict[str, Pending] = {}
        self.names = iter(range(10_000))

    @rule(
        strategy=st.sampled_from(STRATEGIES),
        to=st.sampled_from([None, None, ANNA, BERT]),
        priority=st.integers(0, 2),
        ttl=st.sampled_from([None, None, 0.0, 1.5]),
        max_wait=st.sampled_from([None, 0.0, 2.0]),
        cuts=st.lists(st.booleans(), min_size=1, max_size=4),
        late=st.sampled_from([0, 0, 5]),
        words=st.sampled_from(["", "x", "xxx"]),
    )
    def add(self, strategy: Strategy, cuts: list[bool], late: int, words: str, **fields: Any) -> None:
        for cut in cuts:
            n = next(self.names)
            delivery = Delivery(f"d{n}", "room", f"y{words}", strategy.written(), **fields)
            seq = 10 * (n - late) + late  # some arrive late, none at another's place
            entry = Entry(delivery, Status.QUEUED, seq, heard_chars=int(cut), attempts=int(cut))
            item = self.waiting[delivery.id] = Pending.of(entry, strategy, self.line.now)
            self.line.add(item)

    def one(self, data: st.DataObject) -> Pending:
        return self.waiting[data.draw(st.sampled_from(sorted(self.waiting)))]

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        item = self.one(data)
        del self.waiting[item.id]
        self.line.carried.pop(item.id, None)
        self.line.remove(item)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), why=st.sampled_from([None, *Next]))
    def hurry(self, data: st.DataObject, why: Next | None) -> None:
        item = self.one(data)
        self.line.hurry(item, why)
        assert (item in self.line.hurried(why)) == (why is not None)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), seconds=st.sampled_from([0.5, 3.0]))
    def hold(self, data: st.DataObject, seconds: float) -> None:
        self.line.hold(self.one(data), self.line.now + seconds)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def carry(self, data: st.DataObject) -> None:
        item = self.one(data)
        self.line.carry(item.id, None, item)

    @precondition(lambda self: self.line.carried)
    @rule(data=st.data())
    def carried_in_vain(self, data: st.DataObject) -> None:
        del self.line.carried[data.draw(st.sampled_from(sorted(self.line.carried)))]

    @rule(who=st.sets(st.sampled_from([ANNA, BERT])))
    def listen(self, who: set[str]) -> None:
        self.line.listened_to_by(frozenset(who))

    @rule(floor=st.sampled_from(FLOORS))
    def floor_moves(self, floor: tuple[FloorState, Blocker | None]) -> None:
        now = self.line.now
        self.line.floor = FloorView(*floor, now, now if floor[0] is FloorState.OPEN else None)

    @rule(priority=st.integers(0, 2), over=st.booleans())
    def speak(self, priority: int, over: bool) -> None:
        self.line.spoken = {"m": Spoken(Message("m", "hello", (), over=over), priority, 0.0)}

    @rule()
    def silence(self) -> None:
        self.line.spoken = {}

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.line.pass_time(self.line.now + seconds)

    @invariant()
    def same(self) -> None:
        line, naive = self.line, Naive(self.line, list(self.waiting.values()))
        over = line.expired()
        assert sorted(i.id for i in over) == sorted(i.id for i in naive.expired())
        for item in over:
            line.remove(item)
            del self.waiting[item.id]
        naive = Naive(self.line, list(self.waiting.values()))
        assert line.choose() == []
        assert list(line) == naive.items
        assert line.head is naive.head()
        assert line.deadline() == naive.wake()
        if line.head is not None:
            assert line.due == naive.due(line.head)
            assert line.together(line.head) == naive.together(line.head)
        assert line.urgent() is naive.urgent()
        assert line.overdue() is naive.overdue()


TestChoices = Choices.TestCase
TestChoices.settings = settings(stateful_step_count=50)


# -- a whole room, played twice: once in lanes, once each by itself

TWINS: list[tuple[Strategy, Strategy]] = [
    (WaitForIdle(1.0), Alone(1.0)),
    (WaitForIdle(2.0), Alone(2.0)),
    (Queued(1.0), AloneMerging(1.0)),
    (Immediate(), AloneNow()),
]


@dataclass
class Step:
    """Something that happens: to the room, or a new delivery."""

    what: str
    seconds: float
    twins: tuple[Strategy, Strategy] = TWINS[0]
    fields: dict[str, Any] = field(default_factory=dict)


STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(["submit", "submit", "submit", "speech", "turn", "reply", "noise", "leave", "join"]),
        seconds=st.sampled_from([0.0, 0.0, 0.3, 1.0, 2.5]),
        twins=st.sampled_from(TWINS),
        fields=st.fixed_dictionaries(
            {
                "to": st.sampled_from([None, None, ANNA, BERT]),
                "priority": st.integers(0, 1),
                "ttl": st.sampled_from([None, None, 4.0]),
                "max_wait": st.sampled_from([None, 2.0]),
                "supersedes": st.sampled_from([None, None, None, "x"]),
                "speak_as": st.sampled_from(SpeakAs),
                "words": st.integers(1, 4),
            }
        ),
    ),
    max_size=25,
)


def play(steps: list[Step], twin: int) -> list[Any]:
    stage = Stage(folds=True).join()
    turns: list[Any] = []
    for n, step in enumerate(steps):
        match step.what:
            case "submit":
                stage.submit(f"d{n}", step.twins[twin], **step.fields)
            case "speech":
                stage.speech()
            case "turn":
                turns.append(stage.turn())
            case "reply" if turns:
                stage.reply(turns.pop(0), 1.0)
            case "noise":
                stage.tell(SpeechStarted(BERT))
                stage.tell(SpeechStopped(BERT))
            case "leave":
                stage.tell(Left(BERT))
            case "join":
                stage.join(BERT)
        stage.until(stage.now + step.seconds)
    for turn in turns:
        stage.tell(ReplySettled(turn.id))
    stage.until(stage.now + 120)
    ends = {id: (end.status, stage.settled_at[id], end.waits) for id, end in stage.settled.items()}
    return [stage.said, stage.stops, stage.asked, stage.folded, stage.prepares, stage.moves, ends]


@given(STEPS)
def test_in_lanes_all_happens_as_if_each_was_alone(steps: list[Step]) -> None:
    assert play(steps, 0) == play(steps, 1)


# -- bounds


def test_what_is_said_in_one_breath_has_an_end_and_the_rest_comes_next() -> None:
    stage = Stage().join()
    stage.speech()
    for n in range(TOGETHER + 2):
        stage.submit(f"d{n}", Queued(1.0), words=1)
    stage.reply(stage.turn(), 1.0)
    stage.until(60)
    first, second = stage.said
    assert len(first[1].split()) == TOGETHER
    assert second[1] == f"d{TOGETHER}0 d{TOGETHER + 1}0"


def test_long_texts_are_not_merged_without_end() -> None:
    stage = Stage().join()
    stage.speech()
    for id in "abc":
        stage.submit(id, Queued(1.0), content=id + "x" * (BREATH // 2))
    stage.submit("d", Queued(1.0), content="d" + "x" * (2 * BREATH))
    stage.reply(stage.turn(), 1.0)
    stage.until(60)
    assert [text[0] for text in stage.texts] == ["a", "b", "c", "d"]


def test_a_delivery_that_arrives_late_takes_its_place_by_arrival() -> None:
    stage = Stage().join()
    stage.speech()
    for seq in (3, 1, 2):
        stage.submit(f"d{seq}-", WaitForIdle(0.0), seq=seq, words=1)
    stage.reply(stage.turn(), 1.0)
    stage.until(20)
    assert stage.texts == ["d1-0", "d2-0", "d3-0"]


def test_a_when_of_ones_own_is_asked_for_each_delivery() -> None:
    @dataclass(frozen=True)
    class Short(WaitForIdle):
        name: ClassVar[str] = "test-short"

        def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
            return idle_since(floor, 0.1 * len(delivery.content))

    @dataclass(frozen=True)
    class Shorter(Short):
        name: ClassVar[str] = "test-shorter"

    @dataclass(frozen=True)
    class Renamed(WaitForIdle):
        name: ClassVar[str] = "test-renamed"

    assert [s.impartial for s in (WaitForIdle, Renamed, Short, Shorter)] == [True, True, False, False]
    stage = Stage().join()
    stage.submit("long", Short(), content="x" * 30)
    stage.submit("short", Short(), content="x" * 5)
    stage.until(10)
    assert [len(text) for text in stage.texts] == [5, 30]
