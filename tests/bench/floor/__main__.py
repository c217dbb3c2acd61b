"""`python -m tests.bench.floor`: the table, the frontier, and the same on recordings of yours (`--rttm`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.floor import report
from tests.bench.floor.eyes import Judge, NoJudge
from tests.bench.floor.metrics import Tally
from tests.bench.floor.plot import picture
from tests.bench.floor.replay import recorded
from tests.bench.floor.rttm import RttmError, read
from tests.bench.floor.run import (
    AT_ONCE,
    BUFFERS,
    EYES,
    MAX_WAITS,
    OURS,
    RIVALS,
    TIMERS,
    USUAL,
    Entrant,
    compare,
    ours,
)
from tests.bench.floor.talk import CALL, RESPONDS, RESULTS, Call, draw

DEFAULT = 900
"""Deliveries a policy."""
HELD = {"WaitForIdle(1.0)": "WaitForIdle(1.0)", AT_ONCE.name: "WaitForIdle(1.0, max_wait=0)"}
"""Rows of the table that are held against the targets."""
TALKATIVE = (0.2, RESPONDS, 0.8)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.floor", description=__doc__)
    parser.add_argument("--deliveries", type=_count, default=DEFAULT, help="a policy (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the frontier into this file")
    parser.add_argument("--rttm", type=Path, nargs="+", metavar="FILE", help="replay recordings instead (open loop)")
    parser.add_argument("--caller", help="the caller's name in them (default: who speaks first)")
    parser.add_argument("--quick", action="store_true", help="only the table")
    args = parser.parse_args()
    if args.rttm:
        try:
            talks = [talk for path in args.rttm for talk in read(path, args.caller)]
        except RttmError as error:
            print(error, file=sys.stderr)
            return 2
        calls: Sequence[Call] = recorded(talks, args.deliveries, args.seed)
        print(f"Replay of {len(talks)} recordings, {sum(c.length for c in calls) / 3600:.1f} h with repeats, open loop")
    else:
        calls = [draw(args.seed, n) for n in range(-(-args.deliveries // RESULTS))]
        hours = len(calls) * CALL / 3600
        print(
            f"{len(calls)} calls with an agent ({hours:.0f} h), {len(calls) * RESULTS} deliveries a policy, "
            f"seed {args.seed}"
        )
    print(f"every policy's endpointer: {USUAL.name}\n")
    points = show_table(calls)
    if not args.rttm:
        by_name = {name: tally for name, _, tally in points}
        for name in HELD:
            print("\n" + report.targets(HELD[name], by_name[name], by_name["silence 1 s"]))
    if not args.quick:
        fewer = calls[: max(len(calls) // 3, 1)]
        points = show_frontier(fewer, points)
        print("\nby endpointer")
        for judge in EYES:
            show_pair(judge.name, fewer, judge)
        if not args.rttm:
            show_talkative(args.seed, len(fewer))
    print()
    print(report.LEGEND)
    if args.plot:
        title = "Collision against delay" + (" (recordings)" if args.rttm else "")
        args.plot.write_text(picture([(n, g, t.delay, t.collision) for n, g, t in points], title))
        print(f"\nthe frontier is drawn in {args.plot}")
    return 0


Points = list[tuple[str, str, Tally]]


def show_table(calls: Sequence[Call]) -> Points:
    print(report.HEAD)
    points: Points = []
    for entrant in (*OURS, *TIMERS, *RIVALS):
        (tally,) = compare(calls, [entrant], USUAL)
        print(report.row(entrant.name, tally), flush=True)
        points.append((entrant.name, entrant.group, tally))
    return points


def show_frontier(calls: Sequence[Call], points: Points) -> Points:
    """Ours by its buffer and by its longest wait, and everybody else."""
    print(f"\nfrontier: WaitForIdle by buffer and max_wait ({len(calls)} calls), and the others of the table")
    entrants = [Entrant(f"WaitForIdle({b:g})", ours(b), "buffer") for b in BUFFERS]
    entrants += [Entrant(f"max_wait={w:g}", ours(max_wait=w), "ours") for w in MAX_WAITS]
    line = [(e.name, e.group, t) for e, t in zip(entrants, compare(calls, entrants, USUAL), strict=True)]
    points = [*line, *(p for p in points if p[1] != "ours")]
    print(report.frontier([(name, tally) for name, _, tally in points]))
    return points


def show_pair(title: str, calls: Sequence[Call], judge: Judge | NoJudge) -> None:
    print(f"-- {title}")
    pair = (OURS[0], AT_ONCE, TIMERS[2])
    for entrant, tally in zip(pair, compare(calls, pair, judge), strict=True):
        print(report.row(entrant.name, tally), flush=True)


def show_talkative(seed: int, number: int) -> None:
    """Nobody has measured how much people say to an agent that works underneath."""
    print("\nby how often the caller goes on at once after a statement of the agent's")
    for responds in TALKATIVE:
        calls = [draw(seed, n, responds=responds) for n in range(number)]
        show_pair(f"{responds:.0%}" + (", as above" if responds == RESPONDS else ""), calls, USUAL)


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000000")
    return number


if __name__ == "__main__":
    sys.exit(main())
