"""The house's walls stand: what it loads, which way it imports, where it reads a clock, and what a wheel carries."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import orchestration

ROOT = Path(__file__).parent.parent
PACKAGES = ("voice", "delivery", "orchestration")
ABOVE = {"voice": {"delivery", "orchestration"}, "delivery": {"orchestration"}, "orchestration": set[str]()}
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

CORE_DEPENDENCIES = {"pydantic", "opentelemetry"}
THEIRS = {"pydantic_core", "annotated_types", "typing_extensions", "typing_inspection", "importlib_metadata", "zipp"}

CLOCKS = {"time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime", "sleep"}
CLOCKS |= {f"{name}_ns" for name in CLOCKS} | {"localtime", "gmtime", "ctime", "asctime", "strftime"}
SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Every module that is imported, by statement at any depth or by name through importlib."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in {"import_module", "__import__"}:
                yield node.lineno, str(node.args[0].value)


def clock_reads(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Every use of the time module's clocks, under any name, and of datetime's."""
    times = {"time"}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            times |= {alias.asname for alias in node.names if alias.name == "time" and alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from ((node.lineno, f"time.{alias.name}") for alias in node.names if alias.name in CLOCKS)
    for node in ast.walk(module):
        if not isinstance(node, ast.Attribute):
            continue
        owner = getattr(node.value, "id", getattr(node.value, "attr", ""))
        if owner in times and isinstance(node.value, ast.Name) and node.attr in CLOCKS:
            yield node.lineno, f"time.{node.attr}"
        elif owner in {"datetime", "date"} and node.attr in {"now", "utcnow", "today"}:
            yield node.lineno, f"{owner}.{node.attr}"


def test_the_core_loads_no_vendor() -> None:
    listing = (
        "import sys; before = set(sys.modules); import orchestration;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {each for each in done.stdout.split() if not each.startswith("_sysconfigdata")} - sys.stdlib_module_names
    assert loaded >= {"orchestration"}
    assert loaded - set(PACKAGES) - CORE_DEPENDENCIES - THEIRS == set()


def test_nothing_imports_upwards() -> None:
    found = [
        f"{name(path)}:{line} imports {target}"
        for path in MODULES
        for line, target in imported(tree(path))
        if target.split(".")[0] in ABOVE[path.relative_to(ROOT).parts[0]] | {"tests", "examples"}
    ]
    assert found == []


def test_only_the_clock_reads_a_clock() -> None:
    found = {name(path): list(clock_reads(tree(path))) for path in MODULES}
    assert found.pop("voice/clock.py")
    assert {path: reads for path, reads in found.items() if reads} == {}


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("import time\nx = time.monotonic()", "time.monotonic"),
        ("import time as t\nt.sleep(1)", "time.sleep"),
        ("from time import perf_counter as now", "time.perf_counter"),
        ("import datetime\ndatetime.datetime.now()", "datetime.now"),
        ("from datetime import date\ndate.today()", "date.today"),
    ],
)
def test_a_clock_is_seen_under_any_name(source: str, read: str) -> None:
    assert [what for _, what in clock_reads(ast.parse(source))] == [read]
    assert list(clock_reads(ast.parse("turn.time(); loop.time(); event.time.sleep"))) == []


def test_every_module_opens_with_what_it_promises() -> None:
    assert [name(path) for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [name(path) for path in MODULES if path.stem in SAY_NOTHING or path.parent.name in SAY_NOTHING] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    built = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"])
    with zipfile.ZipFile(next(built)) as archive:
        yield archive


def test_the_wheel_carries_the_three_packages_whole_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    carried = {path for path in wheel.namelist() if ".dist-info/" not in path}
    there = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    assert {name(path) for path in there if path.suffix != ".pyc"} == carried
    assert {path.split("/")[0] for path in carried} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= carried


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    info = f"sottovoce-{orchestration.__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert f"Version: {orchestration.__version__}" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert b"Apache License" in wheel.read(f"{info}/licenses/LICENSE")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    for target in (*project["scripts"].values(), *project["entry-points"]["pytest11"].values()):
        assert target in entry_points
        assert (ROOT / (target.split(":")[0].replace(".", "/") + ".py")).exists()
