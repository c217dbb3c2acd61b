"""The report: tallies as a table, the frontier as lines of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tests.bench.floor.metrics import Tally, quantile, ratio

NAME = 24
LEGEND = """\
M1     collision: the caller speaks at the delivery's first sample, or begins within 300 ms of it
M2     false idle: that sample falls into a pause within the caller's turn
races  that sample comes before a reply that is owed
wait   seconds from a result's arrival to its first sample;  late: over max_wait and a turn (45 s);  never: not begun
M3     from the moment the policy allowed it to the command to speak (synthesis 150 ms and line 50 ms come on top)
M4     the caller takes the floor: until the agent is silent at their ear;  yield: within 2 s;
       keeps: backchannels talked through (a pause of up to 600 ms that goes on from the same word counts as none)
M6     twice: most words of one result heard again;  lost: results not heard whole and given up;
       stale: replaced or expired ones that were begun;  aside: set aside after three interruptions (listed, recallable)
M5     kill -9 at every step of the ledger is another suite's: make test (the tests marked `crash`)"""


def percent(part: int, whole: int) -> str:
    share = ratio(part, whole)
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def seconds(value: float) -> str:
    return "never" if math.isinf(value) else "-" if math.isnan(value) else f"{value:.1f}"


def milliseconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{1000 * value:.0f}"


def share(part: int, whole: int) -> str:
    value = ratio(part, whole)
    return "-" if math.isnan(value) else f"{value:.2f}"


COLUMNS: tuple[tuple[str, int, Callable[[Tally], str]], ...] = (
    ("onsets", 7, lambda t: str(t.onsets)),
    ("M1 %", 6, lambda t: percent(t.collisions, t.onsets)),
    ("M2 %", 6, lambda t: percent(t.false_idle, t.onsets)),
    ("races", 7, lambda t: percent(t.raced, t.onsets)),
    ("| wait50", 9, lambda t: seconds(t.delay)),
    ("95", 6, lambda t: seconds(quantile(t.delays, 0.95))),
    ("late", 6, lambda t: percent(t.late, len(t.delays))),
    ("never", 6, lambda t: percent(t.never, t.results)),
    ("| M3 50", 8, lambda t: milliseconds(quantile(t.overheads, 0.5))),
    ("99ms", 6, lambda t: milliseconds(quantile(t.overheads, 0.99))),
    ("| M4 50", 8, lambda t: milliseconds(quantile(t.stops, 0.5))),
    ("95ms", 6, lambda t: milliseconds(quantile(t.stops, 0.95))),
    ("yield", 6, lambda t: share(len(t.stops), t.barges)),
    ("keeps", 6, lambda t: share(t.talked_through, t.backchannels)),
    ("| twice", 8, lambda t: str(t.most_repeated)),
    ("lost", 6, lambda t: percent(t.lost, t.results)),
    ("stale", 6, lambda t: str(t.stale)),
    ("aside", 6, lambda t: str(t.dead)),
)
HEAD = "policy".ljust(NAME) + "".join(title.rjust(width) for title, width, _ in COLUMNS)


def row(name: str, tally: Tally) -> str:
    return name.ljust(NAME) + "".join(show(tally).rjust(width) for _, width, show in COLUMNS)


def frontier(named: Sequence[tuple[str, Tally]], width: int = 40) -> str:
    """Into the caller's turn (M1 or M2) against median wait, fewest first; a bar of dots each."""
    lines = [f"{'policy':<{NAME}}{'M1 %':>6}{'M1 or M2 %':>12}{'wait50':>8}"]
    for name, tally in sorted(named, key=lambda n: n[1].collision):
        bar = "." * min(round(ratio(tally.intrusions, tally.onsets) * 100), width)
        shown = percent(tally.collisions, tally.onsets), percent(tally.intrusions, tally.onsets), seconds(tally.delay)
        lines.append(f"{name:<{NAME}}{shown[0]:>6}{shown[1]:>12}{shown[2]:>8}  {bar}")
    return "\n".join(lines)


def targets(name: str, ours: Tally, second: Tally) -> str:
    """What the house asks of itself, and whether it is so. `second`: the timer of one second."""
    yields, keeps = ratio(len(ours.stops), ours.barges), ratio(ours.talked_through, ours.backchannels)
    overhead, false_idle = quantile(ours.overheads, 0.99), ratio(ours.false_idle, ours.onsets)
    asked = (
        ("M1 <= 5 %", ours.collision <= 0.05, f"{100 * ours.collision:.1f} %"),
        ("M2 <= 4.5 %", false_idle <= 0.045, f"{100 * false_idle:.1f} %"),
        (
            "median wait <= silence 1 s",
            ours.delay <= second.delay,
            f"{seconds(ours.delay)} and {seconds(second.delay)} s",
        ),
        ("nothing lost", ours.lost == 0, str(ours.lost)),
        ("M3 <= 20 ms at p99", overhead <= 0.02, f"{milliseconds(overhead)} ms"),
        ("M4 yield >= .95", yields >= 0.95, f"{yields:.2f}"),
        ("M4 keeps >= .9", keeps >= 0.9, f"{keeps:.2f}"),
        ("M6 nothing twice or stale", not ours.repeated and not ours.stale, f"{ours.repeated} and {ours.stale}"),
    )
    lines = (f"  {what:<28}{'met' if met else 'NOT met':<9}{found}" for what, met, found in asked)
    return "\n".join((f"{name} against the targets", *lines))
