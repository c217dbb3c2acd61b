"""Prints whether everything the demo needs exists as a wheel, by platform and Python: `python -m tests.bench.wheels`.

Nothing is installed; uv resolves for the other platforms, and takes no source distribution for an answer.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLATFORMS = ("aarch64-apple-darwin", "x86_64-apple-darwin", "x86_64-manylinux_2_31", "aarch64-manylinux_2_31")
PYTHONS = ("3.11", "3.12", "3.13")
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def resolve(platform: str, python: str) -> tuple[bool, str]:
    """Whether the demo's packages resolve to wheels there; and how many there are, or why not."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--extra", "demo", "--only-binary", ":all:"]
    command += ["--python-platform", platform, "--python-version", python, str(PROJECT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == 0:
        return True, f"{sum('==' in line for line in done.stdout.splitlines())} wheels"
    return False, " ".join(done.stderr.split())[:200]


def main() -> int:
    """Print the table; 1 when anything is missing."""
    missing = 0
    for platform in PLATFORMS:
        for python in PYTHONS:
            found, detail = resolve(platform, python)
            missing += not found
            print(f"{platform:24} Python {python:5} {'ok' if found else 'MISSING':8} {detail}")
    return min(missing, 1)


if __name__ == "__main__":
    raise SystemExit(main())
