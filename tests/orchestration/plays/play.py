"""A play, as it is drawn at random: what callers and channels do step by step, and the moods of all doubles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

PEOPLE = ("anna", "bert")
READERS = ("ws", "sms")


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
