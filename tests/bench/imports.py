"""What importing the core costs, beside numpy alone: `python -m tests.bench.imports`. Medians of fresh interpreters."""

from __future__ import annotations

import statistics
import subprocess
import sys

from voice.clock import wall_seconds

TIMES = 9
CORE = "from orchestration import Agent, Runtime, Supervisor"
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
_UNIT = 1024 if sys.platform == "linux" else 1
"""ru_maxrss counts KiB on Linux and bytes on macOS (getrusage(2))."""


def seconds(code: str) -> float:
    """The median time in which a fresh interpreter runs `code`."""
    taken = []
    for _ in range(TIMES):
        begun = wall_seconds()
        subprocess.run([sys.executable, "-c", code], check=True)
        taken.append(wall_seconds() - begun)
    return statistics.median(taken)


def memory(code: str) -> float:
    """The most memory a fresh interpreter held, in MiB."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{PEAK}"], check=True, capture_output=True, text=True)
    return int(done.stdout) * _UNIT / 2**20


def main() -> None:
    """Print the figures."""
    bare = seconds("pass")
    numpy, core = seconds("import numpy") - bare, seconds(CORE) - bare
    print(f"import of the core   {1000 * core:5.0f} ms  ({core / numpy:.2f} of numpy's {1000 * numpy:.0f} ms)")
    beside = f"bare interpreter {memory('pass'):.1f}, numpy {memory('import numpy'):.1f}"
    print(f"memory with the core {memory(CORE):5.1f} MiB ({beside})")


if __name__ == "__main__":
    main()
