"""Several processes at one store: what a dead or a stopped one left is done by one other, and no step twice."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.orchestration.engines.player import Player, Stage

pytestmark = [pytest.mark.crash, pytest.mark.processes]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    if request.param == "sqlite":
        return Stage(str(tmp_path / "tasks.db"), tmp_path)
    return Stage(request.getfixturevalue("postgres_url"), tmp_path)


def test_a_killed_ones_task_is_finished_by_another_and_no_step_is_repeated(stage: Stage) -> None:
    with stage.player("one") as one, stage.player("two") as two:
        one.ask("start", "t1", "first hold third")
        stage.wait_for("one", "t1", "hold")
        assert two.ask("get", "t1")[0] == "running"
        assert two.ask("adopt", "somebody") == 0
        one.kill()
        assert two.ask("adopt", "one", "somebody") == 1
        stage.wait_for("two", "t1", "hold")
        assert two.ask("adopt", "one") == 0
        stage.release()
        assert two.ended("t1") == ["done", "first by one, hold by two, third by two", None]
        begun = [["one", "t1", "first"], ["one", "t1", "hold"]]
        again = [["two", "t1", "hold"], ["two", "t1", "third"], ["two", "t1", "ended"]]
        assert stage.noted() == begun + again
    with stage.player("three") as three:
        assert three.ask("adopt", "one", "two") == 0
        assert three.ask("get", "t1")[0] == "done"


def test_of_several_who_adopt_each_task_goes_to_one(stage: Stage) -> None:
    ids = [f"t{n}" for n in range(12)]
    with stage.player("one") as one, stage.player("two") as two, stage.player("three") as three:
        for id in ids:
            one.ask("start", id, "first hold third")
        for id in ids:
            stage.wait_for("one", id, "hold")
        one.kill()
        for other in (two, three, two, three):
            other.say("adopt", "one")
        assert sum(other._answer() for other in (two, three, two, three)) == len(ids)
        stage.release()
        for id in ids:
            _, text, _ = two.ended(id)
            assert text in [f"first by one, hold by {other}, third by {other}" for other in ("two", "three")]
        after = sorted(task for player, task, what in stage.noted() if what == "third")
        assert after == sorted(ids)


def test_one_that_dies_as_soon_as_it_has_adopted_is_adopted_from_in_turn(stage: Stage) -> None:
    with stage.player("one") as one, stage.player("two") as two, stage.player("three") as three:
        one.ask("start", "t1", "first hold third")
        stage.wait_for("one", "t1", "hold")
        one.kill()
        assert two.ask("adopt", "one") == 1
        two.kill()
        assert three.ask("adopt", "one", "two") == 1
        stage.release()
        assert three.ended("t1") == ["done", "first by one, hold by three, third by three", None]


def test_a_stopped_one_that_goes_on_changes_nothing(stage: Stage) -> None:
    with stage.player("one") as one, stage.player("two") as two:
        held = [f"t{n}" for n in (1, 2, *range(4, 12))]
        for id in held:
            one.ask("start", id, "first hold third")
            stage.wait_for("one", id, "hold")
        one.ask("start", "t3", "first stay")
        stage.wait_for("one", "t3", "stay")
        one.stop()
        assert two.ask("adopt", "one") == 1 + len(held)
        stage.wait_for("two", "t1", "hold")
        stage.release()
        assert two.ended("t1") == ["done", "first by one, hold by two, third by two", None]
        one.cont()
        for id in (*held, "t3"):
            stage.wait_for("one", id, "cancelled")
        assert two.ended("t2")[0] == "done"
        assert one.ended("t1") == ["done", "first by one, hold by two, third by two", None]
        assert one.ask("get", "t3")[0] == "running"
        assert [what for player, _, what in stage.noted() if player == "one"].count("ended") == 0


def test_a_stopped_one_that_goes_on_begins_no_step_of_what_is_anothers_now(stage: Stage) -> None:
    ids = [f"t{n}" for n in range(8)]
    with stage.player("one") as one, stage.player("two") as two:
        for id in ids:
            one.ask("start", id, "first rest third")
        for id in ids:
            stage.wait_for("one", id, "rest")
        one.stop()
        assert two.ask("adopt", "one") == len(ids)
        stage.release()
        for id in ids:
            assert two.ended(id) == ["done", "first by one, rest, third by two", None]
        one.cont()
        for id in ids:
            stage.wait_for("one", id, "cancelled")
        assert [task for player, task, what in stage.noted() if (player, what) == ("one", "third")] == []


def test_one_that_comes_too_late_to_record_a_step_is_interrupted_and_has_not_failed(stage: Stage) -> None:
    with stage.player("one", blind=True) as one, stage.player("two") as two:
        one.ask("start", "t1", "first hold third")
        stage.wait_for("one", "t1", "hold")
        assert two.ask("adopt", "one") == 1
        stage.wait_for("two", "t1", "hold")
        stage.release()
        assert two.ended("t1") == ["done", "first by one, hold by two, third by two", None]
        stage.wait_for("one", "t1", "cancelled")
        assert ["one", "t1", "third"] not in stage.noted()


def test_no_step_is_begun_of_what_is_anothers_now(stage: Stage) -> None:
    with stage.player("one", blind=True) as one, stage.player("two") as two:
        one.ask("start", "t1", "first rest third")
        stage.wait_for("one", "t1", "rest")
        assert two.ask("adopt", "one") == 1
        stage.wait_for("two", "t1", "rest")
        stage.release()
        assert two.ended("t1") == ["done", "first by one, rest, third by two", None]
        stage.wait_for("one", "t1", "cancelled")
        assert ["one", "t1", "third"] not in stage.noted()


def test_a_stopped_one_may_get_its_task_back(stage: Stage) -> None:
    with stage.player("one") as one, stage.player("two") as two:
        one.ask("start", "t1", "first stay")
        stage.wait_for("one", "t1", "stay")
        one.stop()
        assert two.ask("adopt", "one") == 1
        stage.wait_for("two", "t1", "stay")
        two.kill()
        one.cont()
        assert one.ask("adopt", "two") == 1
        stage.wait_for("one", "t1", "cancelled")
        stage.wait_for("one", "t1", "stay", times=2)
        assert one.ask("cancel", "t1") is True
        assert one.ended("t1")[0] == "cancelled"


def test_a_task_is_cancelled_in_whatever_process_it_runs(stage: Stage) -> None:
    with stage.player("one") as one, stage.player("two") as two:
        one.ask("start", "t1", "first stay")
        stage.wait_for("one", "t1", "stay")
        assert two.ask("cancel", "t1") is True
        stage.wait_for("one", "t1", "cancelled")
        assert one.ask("get", "t1") == ["cancelled", "", "cancelled"]
        assert two.ask("cancel", "t1") is False


def test_a_task_that_is_known_is_left_alone_by_others(stage: Stage) -> None:
    with stage.player("one") as one, stage.player("two") as two:
        one.ask("start", "t1", "first hold")
        two.ask("start", "t1", "second")
        stage.wait_for("one", "t1", "hold")
        stage.release()
        assert two.ended("t1") == ["done", "first by one, hold by one", None]


def test_a_process_that_closes_leaves_its_tasks_to_others(stage: Stage) -> None:
    with stage.player("two") as two:
        with stage.player("one") as one:
            one.ask("start", "t1", "first hold third")
            stage.wait_for("one", "t1", "hold")
        assert two.ask("get", "t1")[0] == "running"
        assert two.ask("adopt", "one") == 1
        stage.release()
        assert two.ended("t1") == ["done", "first by one, hold by two, third by two", None]


def test_a_body_is_told_how_often_its_process_has_died(stage: Stage) -> None:
    for n in range(3):
        with stage.player(str(n)) as player:
            if n == 0:
                player.ask("start", "t1", "stay")
            else:
                assert player.ask("adopt", str(n - 1)) == 1
            stage.wait_for(str(n), "t1", f"begun {n + 1}")
            player.kill()


def test_progress_is_read_in_another_process(stage: Stage) -> None:
    with stage.player("one") as one, stage.player("two") as two:
        one.ask("start", "t1", "stay")
        stage.wait_for("one", "t1", "stay")
        one.ask("report", "t1", {"": "reading"}, False)
        assert two.ask("unfinished") == [["t1", "running", {"": "reading"}]]
        two.ask("report", "t1", {"": "not mine"}, False)
        one.ask("report", "t1", {}, True)
        assert two.ask("unfinished") == [["t1", "queued", {}]]
        assert two.ask("cancel", "t1")
        assert one.ask("unfinished") == []


def test_several_that_begin_at_once_on_an_empty_store(stage: Stage) -> None:
    begun = [Player(stage, str(n)) for n in range(4)]
    with ExitStack() as stack:
        players = [stack.enter_context(player) for player in begun]
        for player in players:
            player.say("start", f"t{player.id}", "first")
        for player in players:
            player._answer()
        for player in players:
            assert [players[0].ended(f"t{player.id}")[1]] == [f"first by {player.id}"]
