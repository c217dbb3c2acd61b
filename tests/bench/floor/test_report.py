"""What is printed and drawn, from the command line on."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.floor import __main__ as program
from tests.bench.floor import report
from tests.bench.floor.metrics import Tally
from tests.bench.floor.plot import picture
from tests.bench.floor.run import OURS, RIVALS, TIMERS


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["floor", *arguments])
    return program.main()


def test_a_row_is_as_wide_as_its_head() -> None:
    full = Tally(onsets=10, collisions=1, results=9, delays=[1.0, 2.0, math.inf], stops=[0.2], barges=1)
    for tally in (Tally(), full):
        assert len(report.row("x", tally)) == len(report.HEAD)
    assert "10.0" in report.row("x", full)
    assert report.seconds(math.inf) == "never"


def test_targets_are_held_against_what_was_found() -> None:
    met = Tally(onsets=100, collisions=5, delays=[1.0], barges=1, stops=[0.2], backchannels=1, talked_through=1)
    met.overheads = [0.001]
    missed = Tally(onsets=100, collisions=6, delays=[3.0], lost=1, repeated=1)
    assert "NOT" not in report.targets("x", met, Tally(delays=[2.0]))
    assert report.targets("x", missed, Tally(delays=[2.0])).count("NOT met") == 7  # all but M2


def test_the_frontier_begins_with_the_fewest_collisions() -> None:
    worse, better = Tally(onsets=10, collisions=5), Tally(onsets=10, collisions=1)
    lines = report.frontier([("worse", worse), ("better", better)]).splitlines()
    assert [line.split()[0] for line in lines] == ["policy", "better", "worse"]


def test_the_picture_is_one_svg_without_anything_from_elsewhere() -> None:
    points = [("a <b>", "ours", 1.0, 0.03), ("c", "ours", 5.0, 0.02), ("d", "rival", math.inf, 0.5)]
    drawn = picture(points, "Collision & delay")
    root = ElementTree.fromstring(drawn)
    texts = [node.text for node in root.iter() if node.text]
    assert "a <b>" in texts
    assert "d" not in texts  # never: not on this paper
    assert "href" not in drawn


def test_a_picture_of_nothing_is_drawn() -> None:
    assert ElementTree.fromstring(picture([], "nothing")) is not None


def test_recordings_give_the_same_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"SPEAKER t 1 {5 * n} 3 <NA> <NA> {'ab'[n % 2]} <NA> <NA>" for n in range(20)]
    path, plot = tmp_path / "t.rttm", tmp_path / "f.svg"
    path.write_text("\n".join(lines))
    assert run(monkeypatch, "--rttm", str(path), "--deliveries", "3", "--quick", "--plot", str(plot)) == 0
    printed = capsys.readouterr().out
    assert report.HEAD in printed
    assert all(entrant.name in printed for entrant in (*OURS, *TIMERS, *RIVALS))
    assert "M5" in printed
    assert plot.read_text().startswith("<svg")


def test_a_bad_recording_is_named_and_nothing_is_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.rttm"
    path.write_text("nonsense")
    assert run(monkeypatch, "--rttm", str(path)) == 2
    told = capsys.readouterr()
    assert told.err == f"{path}: no SPEAKER line in it; is it an RTTM file?\n"
    assert told.out == ""


@pytest.mark.parametrize("count", ["0", "-3", "many", "1000001"])
def test_an_absurd_number_of_deliveries(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "--deliveries", count)
