"""Strategies: when they let a delivery be spoken, and that they are themselves again after a restart."""

from __future__ import annotations

import doctest
import json
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery import strategies
from delivery.ledger import Delivery, Status
from delivery.strategies import (
    LONGEST_SEPARATOR,
    Immediate,
    Queued,
    Strategy,
    WaitForIdle,
    idle_since,
    read,
    resolve,
    seconds,
)
from tests.delivery.stage import Stage
from voice.floor import Blocker, FloorState, FloorView

ONE = Delivery("one", "lobby", "hello", {"name": "immediate"})
OPEN = FloorView(FloorState.OPEN, None, 10.0, 10.0)
AFTER_A_QUESTION = FloorView(FloorState.OPEN, None, 11.5, 10.0)
CLOSED = [
    FloorView(FloorState.USER_HOLDS, Blocker.CALLER_SPEAKING, 10.0),
    FloorView(FloorState.USER_HOLDS, Blocker.QUESTION, 10.0, 10.0),
    FloorView(FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING, 10.0),
    FloorView(FloorState.AGENT_OWES, Blocker.REPLY, 10.0),
    FloorView(FloorState.EMPTY, Blocker.NOBODY, 10.0),
]


@dataclass(frozen=True)
class Twice(Strategy):
    name: ClassVar[str] = "test-twice"
    buffer: float = 2.0
    words: tuple[str, ...] = ()

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return idle_since(floor, 2 * self.buffer)


@pytest.mark.parametrize("strategy", [WaitForIdle(2.0), Queued(2.0)], ids=str)
def test_idle_is_an_open_floor_for_as_long_as_the_buffer(strategy: Strategy) -> None:
    assert strategy.when(ONE, OPEN, 10.0) == 12.0
    assert strategy.when(ONE, OPEN, 50.0) == 12.0
    assert [strategy.when(ONE, floor, 10.0) for floor in CLOSED] == [None] * len(CLOSED)


@pytest.mark.parametrize(("buffer", "due"), [(0.0, 11.5), (1.0, 11.5), (1.5, 11.5), (2.0, 12.0)])
def test_a_question_is_waited_out_and_counts_towards_the_buffer(buffer: float, due: float) -> None:
    assert WaitForIdle(buffer).when(ONE, AFTER_A_QUESTION, 11.5) == due


def test_immediate_is_now_unless_nobody_hears() -> None:
    assert [Immediate().when(ONE, floor, 10.25) for floor in (OPEN, *CLOSED)] == [10.25] * 5 + [None]


def test_only_immediate_talks_over_and_only_queued_merges() -> None:
    assert [(s.talks_over, s.merges) for s in (Immediate(), WaitForIdle(), Queued())] == [
        (True, False),
        (False, False),
        (False, True),
    ]


# -- written and read


@pytest.mark.parametrize(
    "strategy",
    [Immediate(), WaitForIdle(), WaitForIdle(0.25, max_wait=None), Queued(2.0, "; ", 5.0), Twice(3.0)],
    ids=str,
)
def test_a_strategy_is_itself_again_after_a_restart(strategy: Strategy) -> None:
    again = read(json.loads(json.dumps(strategy.written())))
    assert type(again) is type(strategy)
    assert again.written() == json.loads(json.dumps(strategy.written()))


@pytest.mark.parametrize(
    ("name", "kind"), [("immediate", Immediate), ("wait_for_idle", WaitForIdle), ("queued", Queued)]
)
def test_its_name_is_enough(name: str, kind: type[Strategy]) -> None:
    assert resolve(name) == kind()


def test_a_strategy_resolves_to_itself() -> None:
    mine = WaitForIdle(3.0)
    assert resolve(mine) is mine


@pytest.mark.parametrize("written", [{"name": "wait_for_idel"}, {}, {"name": None}, {"name": ["queued"]}], ids=str)
def test_a_name_that_is_not_known_is_an_error_that_lists_those_that_are(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"known are .*immediate.*queued.*wait_for_idle"):
        read(written)


@pytest.mark.parametrize("wrong", [None, "queued", ["queued"], 1, ("name", "queued")], ids=str)
def test_what_is_no_written_form_is_an_error(wrong: Any) -> None:
    with pytest.raises(ValueError, match="is not its written form"):
        read(wrong)


@pytest.mark.parametrize("buffer", [None, True, "1", -1.0, 1e9, [1.0], {"seconds": 1}], ids=repr)
def test_a_written_parameter_is_checked_like_any_other(buffer: Any) -> None:
    with pytest.raises(ValueError, match="buffer"):
        read({"name": "wait_for_idle", "buffer": buffer})
    with pytest.raises(ValueError, match="buffer"):
        read(json.loads('{"name": "queued", "buffer": NaN}'))


def test_a_parameter_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"strategy 'queued'.*'bufer'"):
        read({"name": "queued", "bufer": 1.0})
    with pytest.raises(ValueError, match=r"strategy 'immediate'.*'buffer'"):
        read({"name": "immediate", "buffer": 1.0})
    with pytest.raises(ValueError, match="strategy 'queued'"):
        read({"name": "queued", 1: 2})  # type: ignore[dict-item]


@pytest.mark.parametrize("wrong", [None, 1, WaitForIdle])
def test_what_is_neither_a_strategy_nor_a_name_is_an_error(wrong: Any) -> None:
    with pytest.raises(ValueError, match="neither a Strategy nor the name of one"):
        resolve(wrong)


# -- parameters


@pytest.mark.parametrize("kind", [WaitForIdle, Queued])
@pytest.mark.parametrize("wrong", [None, -0.1, math.nan, math.inf, 1e9, True, "1"], ids=repr)
def test_a_buffer_is_a_number_of_seconds(kind: type[WaitForIdle], wrong: Any) -> None:
    with pytest.raises(ValueError, match="buffer"):
        kind(wrong)


@pytest.mark.parametrize("kind", [WaitForIdle, Queued])
def test_max_wait_may_be_none_but_not_nonsense(kind: type[WaitForIdle]) -> None:
    assert kind(1.0, max_wait=None).max_wait is None
    for wrong in (-1.0, math.nan, math.inf, -math.inf, 1e9, True, "30", 10**400):
        with pytest.raises(ValueError, match="max_wait"):
            kind(1.0, max_wait=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, 1, b". ", ["."], "x" * (LONGEST_SEPARATOR + 1), ".\x00", "\x1b[2J", "\ud800"])
def test_a_separator_is_a_short_text_that_can_be_said(wrong: Any) -> None:
    with pytest.raises(ValueError, match="separator"):
        Queued(1.0, wrong)


@pytest.mark.parametrize("good", ["", " ", "; ", "\n\n", " \u2014 ", "Und dann: "])
def test_a_separator_may_be_any_short_text(good: str) -> None:
    assert read(Queued(1.0, good).written()) == Queued(1.0, good)


@given(st.floats(0, 24 * 3600))
def test_all_lengths_up_to_a_day_are_good(value: float) -> None:
    seconds("ttl", value)
    assert WaitForIdle(value).buffer == value


# -- a user's own


def test_the_example_in_its_docstring_works() -> None:
    found = doctest.DocTestFinder().find(Strategy, "Strategy", globs=vars(strategies).copy())
    runner = doctest.DocTestRunner()
    for example in found:
        runner.run(example, clear_globs=False)
    assert runner.tries > 2
    assert runner.failures == 0
    stage = Stage().join()
    stage.submit("long", resolve("unhurried"), words=10)
    stage.submit("short", resolve("unhurried"), words=2)
    stage.until(20)
    assert stage.times == [1.0, 1.0 + 2 * 0.5 + 3.0]
    assert stage.texts[0] == "short0 short1"


@dataclass(frozen=True)
class Odd(Strategy):
    """Answers with what is no time, or raises."""

    name: ClassVar[str] = "test-odd"
    answer: ClassVar[Any] = None

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ODD = [
    math.nan,
    True,
    "soon",
    b"1",
    1j,
    [1.0],
    object(),
    Odd,
    10**400,
    KeyError("x"),
    RecursionError(),
    StopIteration(),
]


@pytest.mark.parametrize("impartial", [True, False])
@pytest.mark.parametrize("answer", ODD, ids=lambda a: repr(a)[:20])
def test_one_that_raises_or_answers_with_nonsense_is_set_aside_and_the_next_goes_on(
    answer: Any, impartial: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Odd, "answer", answer)
    monkeypatch.setattr(Odd, "impartial", impartial)
    stage = Stage().join()
    for id in "abc":
        stage.submit(id, Odd() if id != "c" else WaitForIdle(1.0))
    assert [stage.settled[id].status for id in "ab"] == [Status.DEAD, Status.DEAD]
    assert stage.settled["a"].reason.startswith("its strategy failed: ")
    stage.until(10)
    assert stage.texts == ["c0 c1 c2 c3"]


@pytest.mark.parametrize(("answer", "times"), [(math.inf, []), (-math.inf, [0.0]), (-5, [0.0]), (3, [3.0])])
def test_a_time_may_be_past_or_never(answer: float, times: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "answer", answer)
    stage = Stage().join()
    stage.submit("a", Odd())
    stage.until(10)
    assert stage.times == times


def test_a_strategy_needs_a_name_of_its_own() -> None:
    with pytest.raises(TypeError, match="needs a class attribute `name`"):

        class Nameless(WaitForIdle):
            pass

    with pytest.raises(TypeError, match=r"'queued' is taken by delivery\.strategies\.Queued"):

        class Another(Strategy):
            name: ClassVar[str] = "queued"

    assert resolve("queued") == Queued()


def test_one_name_in_two_modules_is_an_error_but_a_module_may_be_loaded_twice() -> None:
    def define(module: str) -> type[Strategy]:
        return type("Mine", (Strategy,), {"name": "test-mine", "__module__": module, "__qualname__": "Mine"})

    define("app")
    again = define("app")
    assert type(resolve("test-mine")) is again
    assert type(resolve("test-mine")) is not define("__main__")
    define("app")
    with pytest.raises(TypeError, match=r"'test-mine' is taken by app\.Mine"):
        define("other")


def test_parameters_that_would_be_lost_are_an_error() -> None:
    class Careless(Strategy):
        name: ClassVar[str] = "test-careless"

        def __init__(self, buffer: float = 1.0) -> None:
            self.buffer = buffer

    with pytest.raises(TypeError, match="make it a frozen dataclass"):
        Careless(5.0).written()


@dataclass(frozen=True)
class Loose(Strategy):
    """Checks nothing of what it is given."""

    name: ClassVar[str] = "test-loose"
    buffer: Any = 1.0
    max_wait: Any = 30.0
    separator: Any = " "


@dataclass(frozen=True)
class Forgetful(Strategy):
    name: ClassVar[str] = "test-forgetful"
    asked: int = field(default=0, init=False)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Loose(max_wait=-5), "max_wait"),
        (Loose(max_wait="soon"), "max_wait"),
        (Loose(separator="\x00"), "separator"),
        (Loose(buffer=math.nan), "'test-loose' cannot be kept over a restart"),
        (Loose(buffer={1, 2}), "'test-loose' cannot be kept over a restart: .*set"),
        (Forgetful(), "'test-forgetful' cannot be kept over a restart: .*'asked'"),
    ],
    ids=repr,
)
def test_one_that_could_not_be_kept_is_an_error_where_it_is_given(wrong: Strategy, says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        resolve(wrong)


def test_a_strategy_without_parameters_needs_no_dataclass() -> None:
    class Plain(Strategy):
        name: ClassVar[str] = "test-plain"

    assert type(read(Plain().written())) is Plain
    with pytest.raises(NotImplementedError):
        Plain().when(ONE, OPEN, 0.0)
