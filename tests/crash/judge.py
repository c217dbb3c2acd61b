"""The judge: holds what the ears heard against what is in the store at the end; asks no process for its opinion."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.ear import Heard, heard, read
from tests.crash.house import words_in

IN_FLIGHT = 3
"""Words of 0.4 s (2.5 a second) that one death may have heard twice. What was heard is written half a second after the
last time (`Scheduler.record_every`), at the end of a word: 2 words; and 1 that is said while that is being written."""
OPEN = {"queued", "reserved", "speaking"}


@dataclass
class Verdict:
    """`twice`: words heard twice that a death explains; all that must not be is in `faults`."""

    deaths: int
    twice: int = 0
    missed: list[str] = field(default_factory=list)
    left_open: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.missed or self.left_open or self.faults)


def judge(folder: Path, deaths: int, unwanted: Collection[str] = (), *, stale: int = 0) -> Verdict:
    """What became of a town after so many deaths; `unwanted` deliveries need not be heard.

    `stale`: words that were said by a process which did not know yet that it had lost the room.
    """
    verdict = Verdict(deaths)
    end = json.loads((folder / "end").read_text())
    lives = heard(folder / "ears")
    entries = {entry["delivery"]["id"]: entry for entry in end["entries"]}
    for id, entry in entries.items():
        if entry["status"] in OPEN:
            verdict.left_open.append(id)
        elif id not in unwanted:
            _listen(verdict, id, entry, lives, IN_FLIGHT * deaths + stale)
    _count_tasks(verdict, folder, end["tasks"], entries)
    _count_steps(verdict, folder)
    verdict.faults += [f"{id} was stored, and is gone" for id in _noted(folder, "stored") - entries.keys()]
    return verdict


def _listen(verdict: Verdict, id: str, entry: Mapping[str, Any], lives: list[Heard], most: int) -> None:
    """Every word of it was heard, in order, and none too often."""
    if entry["status"] != "heard":
        verdict.missed.append(f"{id} is {entry['status']}: {entry['reason']}")
        return
    words = words_in(entry["delivery"]["content"])
    surely = sorted((at, word) for life in lives for at, each in life.surely for word in words_in(each))
    first = {word: at for at, word in reversed(surely)}
    verdict.missed += [word for word in words if word not in first]
    times = [first[word] for word in words if word in first]
    if times != sorted(times):
        verdict.faults.append(f"{id} was heard out of order")
    often = Counter(word for life in lives for _, each in life.perhaps for word in words_in(each))
    twice = sum(often[word] - 1 for word in words if word in often)
    verdict.twice = max(verdict.twice, twice)
    if twice > most:
        verdict.faults.append(f"{twice} words of {id} were heard twice after {verdict.deaths} deaths")


def _count_tasks(verdict: Verdict, folder: Path, tasks: list[list[str]], entries: Mapping[str, Any]) -> None:
    """Every task that was begun is done, and has one result."""
    results = Counter(entry["delivery"]["task"] for entry in entries.values())
    for task, status in tasks:
        if status != "done" or results[task] != 1:
            verdict.faults.append(f"task {task} is {status} with {results[task]} results")
    for entry in entries.values():
        if entry["delivery"]["task"] and not words_in(entry["delivery"]["content"]):
            verdict.faults.append(f"what is told of a task is no result: {entry['delivery']['content']}")
    verdict.faults += [f"task {id} was begun, and is gone" for id in _noted(folder, "begun") - {id for id, _ in tasks}]


def _count_steps(verdict: Verdict, folder: Path) -> None:
    """A step that is recorded is not done again."""
    kept = set()
    for what, _, _, *step in read(folder / "steps"):
        if what == "kept":
            kept.add(tuple(step))
        elif tuple(step) in kept:
            verdict.faults.append(f"a finished step was repeated: {step}")


def _noted(folder: Path, wanted: str) -> set[str]:
    return {facts[0] for what, _, _, *facts in read(folder / "notes") if what == wanted}
