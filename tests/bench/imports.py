"""What it costs to import the core: `python -m tests.bench.imports` prints time and memory, each in a fresh process.

Beside numpy, which the core does not load, in the same run. The time is the best of several runs (whatever else the
machine does can only make it slower), less a bare interpreter's; the memory is the whole process's at its largest.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from voice.clock import wall_seconds

ROOT = Path(__file__).parents[2]
RUNS = 9
PEAK = """
import pathlib, resource, sys
status = pathlib.Path("/proc/self/status")
if status.exists():  # ru_maxrss counts the process before exec, too
    print(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
"""
STATEMENTS = {
    "nothing": "pass",
    "import orchestration": "import orchestration",
    "from orchestration import Runtime": "from orchestration import Runtime",
    "the pytest plugin (with pytest)": "import pytest, orchestration.pytest_plugin",
    "pytest": "import pytest",
    "import numpy": "import numpy",
}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)


def taken(statement: str) -> float:
    began = wall_seconds()
    python("-c", statement)
    return wall_seconds() - began


def costs() -> Iterator[tuple[str, float, float]]:
    """Each statement's best wall seconds and its peak memory in MiB, taken by turns."""
    best = dict.fromkeys(STATEMENTS, float("inf"))
    for _ in range(RUNS):
        for name, statement in STATEMENTS.items():
            best[name] = min(best[name], taken(statement))
    for name, statement in STATEMENTS.items():
        yield name, best[name], int(python("-c", statement + PEAK).stdout) / 1024


def dearest(statement: str, number: int = 8) -> list[tuple[float, str]]:
    """The modules in which most of an import's time is spent, without those they import: (ms, name)."""
    lines = python("-X", "importtime", "-c", statement).stderr.splitlines()[1:]
    rows = [line.removeprefix("import time:").split("|") for line in lines]
    return sorted(((int(own) / 1000, name.strip()) for own, _, name in rows), reverse=True)[:number]


def main() -> None:
    rows = list(costs())
    _, bare, _ = rows[0]
    numpy = rows[-1][1] - bare
    print(f"{'':<36}{'wall':>10}{'of numpy':>10}{'memory':>12}")
    for name, seconds, mebibytes in rows:
        ratio = (seconds - bare) / numpy
        print(f"{name:<36}{(seconds - bare) * 1000:>7.0f} ms{ratio:>10.2f}{mebibytes:>8.1f} MiB")
    print(f"a bare interpreter's {bare * 1000:.0f} ms are taken off above")
    print("dearest modules of the Runtime: ", end="")
    print(", ".join(f"{name} {ms:.0f} ms" for ms, name in dearest(STATEMENTS["from orchestration import Runtime"])))


if __name__ == "__main__":
    main()
