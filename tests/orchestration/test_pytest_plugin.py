"""The plugin in a user's project: with every kind of pytest-asyncio, and without. Times are virtual."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import orchestration.simulation  # noqa: F401 - or every run inside this process would load copies of its own

pytest_plugins = "pytester"

ROOT = Path(__file__).parent.parent.parent

APP = """
from orchestration import Agent, Runtime
from orchestration.models.scripted import Intent, Scripted
from orchestration.strategies.orchestration import Orchestration

class Alone(Orchestration):
    def agents(self):
        return [host]
    async def install(self, runtime, room_id):
        runtime.room(room_id).talker = host

host = Agent("host", model=Scripted([Intent(["hello"], answer="Good day.")]))
runtime = Runtime(orchestration=Alone())
"""

CALL = """
import asyncio
import pytest
from app import runtime

{mark}
async def test_an_hour(simulate):
    loop = asyncio.get_running_loop()
    assert loop.time() == 0.0
    async with simulate(runtime) as call:
        await call.say("hello")
        line = await call.hears("Good day")
        assert abs(line.started - (0.2 + 0.4 + 0.6)) < 0.02
        await call.silence(3600)
        assert call.now == loop.time()
    assert loop.time() > 3600
"""

WITHOUT: tuple[str, ...] = ()
WITH = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function", "-o")
STRICT = (*WITH, "asyncio_mode=strict")
AUTO = (*WITH, "asyncio_mode=auto")


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project that loads what a test names, and nothing of what happens to be installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(app=APP)
    return pytester


def outcomes(project: pytest.Pytester, *options: str) -> dict[str, int]:
    strict = ("-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning")  # the run around this one has loaded us
    return project.runpytest_inprocess(*strict, "-p", "orchestration.pytest_plugin", *options).parseoutcomes()


@pytest.mark.parametrize(
    ("options", "mark"),
    [
        pytest.param(WITHOUT, "", id="without pytest-asyncio"),
        pytest.param(STRICT, "", id="strict mode, unmarked"),
        pytest.param(STRICT, "@pytest.mark.asyncio", id="strict mode, marked"),
        pytest.param(AUTO, "", id="auto mode"),
        pytest.param(AUTO, "@pytest.mark.asyncio", id="auto mode, marked"),
        pytest.param(("-p", "anyio.pytest_plugin"), "@pytest.mark.anyio", id="anyio"),
        pytest.param(STRICT, "@pytest.mark.virtual_time", id="marked for virtual time, too"),
    ],
)
def test_a_test_with_the_fixture_runs_in_virtual_time(
    project: pytest.Pytester, options: tuple[str, ...], mark: str
) -> None:
    project.makepyfile(CALL.format(mark=mark))
    assert outcomes(project, *options) == {"passed": 1}


@pytest.mark.parametrize("options", [WITHOUT, STRICT])
def test_the_mark_alone_gives_virtual_time(project: pytest.Pytester, options: tuple[str, ...]) -> None:
    project.makepyfile("""
        import asyncio
        import pytest

        @pytest.mark.virtual_time
        async def test_a_day():
            await asyncio.sleep(80_000)
            assert asyncio.get_running_loop().time() == 80_000
    """)
    assert outcomes(project, "--strict-markers", *options) == {"passed": 1}


@pytest.mark.parametrize("options", [STRICT, AUTO])
def test_other_async_tests_keep_their_loop(project: pytest.Pytester, options: tuple[str, ...]) -> None:
    project.makepyfile("""
        import asyncio
        import pytest
        from voice.clock import VirtualLoop

        @pytest.mark.asyncio
        async def test_real():
            assert not isinstance(asyncio.get_running_loop(), VirtualLoop)

        @pytest.mark.asyncio
        async def test_virtual(simulate):
            assert isinstance(asyncio.get_running_loop(), VirtualLoop)

        @pytest.mark.asyncio
        async def test_real_again():
            assert not isinstance(asyncio.get_running_loop(), VirtualLoop)
    """)
    assert outcomes(project, *options) == {"passed": 3}


def test_who_chooses_loops_for_the_other_tests_goes_on_to_do_so(project: pytest.Pytester) -> None:
    project.makeconftest("""
        import asyncio

        class Own(asyncio.SelectorEventLoop):
            pass

        def pytest_asyncio_loop_factories(config, item):
            return {"own": Own, "ordinary": asyncio.new_event_loop}
    """)
    project.makepyfile("""
        import asyncio
        from conftest import Own
        from voice.clock import VirtualLoop

        async def test_chosen(request):
            assert isinstance(asyncio.get_running_loop(), Own) == ("own" in request.node.name)

        async def test_virtual(simulate):
            assert isinstance(asyncio.get_running_loop(), VirtualLoop)
    """)
    assert outcomes(project, *AUTO) == {"passed": 3}


@pytest.mark.parametrize("scope", ["module", "session"])
def test_loops_of_a_wider_scope_are_kept_apart(project: pytest.Pytester, scope: str) -> None:
    project.makepyfile("""
        import asyncio
        from voice.clock import VirtualLoop

        async def test_first(simulate):
            await asyncio.sleep(1000)

        async def test_second(simulate):
            assert asyncio.get_running_loop().time() == 1000

        async def test_real():
            assert not isinstance(asyncio.get_running_loop(), VirtualLoop)
    """)
    assert outcomes(project, *AUTO, "-o", f"asyncio_default_test_loop_scope={scope}") == {"passed": 3}


@pytest.mark.parametrize("options", [WITHOUT, AUTO])
def test_a_plain_test_with_the_fixture_is_left_alone(project: pytest.Pytester, options: tuple[str, ...]) -> None:
    project.makepyfile("""
        import asyncio
        import pytest

        def test_plain(simulate):
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            assert callable(simulate)
    """)
    assert outcomes(project, *options) == {"passed": 1}


@pytest.mark.parametrize(("options", "mark"), [(WITHOUT, ""), (STRICT, "@pytest.mark.asyncio")])
def test_a_test_that_hangs_fails_at_once_and_says_where(
    project: pytest.Pytester, options: tuple[str, ...], mark: str
) -> None:
    project.makepyfile(f"""
        import asyncio
        import pytest
        from app import runtime

        {mark}
        async def test_alone(simulate):
            await asyncio.Event().wait()

        {mark}
        async def test_in_a_call(simulate):
            async with simulate(runtime) as call:
                await asyncio.Event().wait()
    """)
    result = project.runpytest_inprocess("-p", "orchestration.pytest_plugin", *options)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E * voice.clock.Stalled: time stands still at 0 s: nothing is left that could wake",
            "E * task * waits at *test_a_test_that_hangs*.py:7 in test_alone*",
            "E * voice.clock.TimeLimitError: *something never ends*",
            "E * task * waits at *test_a_test_that_hangs*.py:12 in test_in_a_call*",
        ]
    )


@pytest.mark.parametrize("options", [WITHOUT, AUTO])
def test_a_failure_is_shown_like_any_other(project: pytest.Pytester, options: tuple[str, ...]) -> None:
    project.makepyfile("""
        from app import runtime

        async def test_wrong(simulate):
            async with simulate(runtime) as call:
                await call.say("hello")
                await call.hears("bananas", timeout=5)
    """)
    result = project.runpytest_inprocess("-p", "orchestration.pytest_plugin", *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_a_failure*.py:6:*",
            "E *NotHeardError: caller did not hear 'bananas' within 5 s, only:",
            "E *'Good day.'",
        ]
    )


@pytest.mark.parametrize("options", [WITHOUT, AUTO])
def test_fixtures_parameters_and_classes_are_given_as_ever(project: pytest.Pytester, options: tuple[str, ...]) -> None:
    project.makepyfile("""
        import asyncio
        import pytest
        from app import runtime

        closed = []

        @pytest.fixture(params=[1, 2])
        def number(request):
            yield request.param
            closed.append(request.param)

        @pytest.fixture
        def play(simulate):
            return lambda **speech: simulate(runtime, **speech)

        @pytest.mark.parametrize("pace", [1.0, 4.0])
        async def test_mixed(play, number, pace, tmp_path, default=7):
            async with play(pace=pace) as call:
                await call.say("hello " * number)
                assert abs(call.now - (0.2 + number / pace)) < 0.02
            assert tmp_path.is_dir()
            assert default == 7

        class TestIn:
            async def test_a_class(self, simulate, number):
                assert asyncio.get_running_loop().time() == 0.0
                assert isinstance(self, TestIn)

        def test_closed():
            assert sorted(closed) == [1] * 3 + [2] * 3
    """)
    assert outcomes(project, *options) == {"passed": 7}


@pytest.mark.parametrize(
    ("options", "fixture", "mark"),
    [(STRICT, "@pytest_asyncio.fixture", "@pytest.mark.asyncio"), (AUTO, "@pytest.fixture", "")],
)
def test_an_async_fixture_shares_the_tests_virtual_loop(
    project: pytest.Pytester, options: tuple[str, ...], fixture: str, mark: str
) -> None:
    project.makepyfile(f"""
        import asyncio
        import pytest
        import pytest_asyncio
        from app import runtime

        {fixture}
        async def call(simulate):
            async with simulate(runtime) as call:
                await call.say("hello")
                yield call
                await call.silence(10)

        {mark}
        async def test_through_a_fixture(call):
            line = await call.hears("Good day.")
            assert abs(line.started - 1.2) < 0.02
            await call.silence(3600)
            assert call.now == asyncio.get_running_loop().time() > 3600
    """)
    assert outcomes(project, *options) == {"passed": 1}


def test_the_fixture_is_listed_with_what_it_does(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess("-p", "orchestration.pytest_plugin", "--fixtures")
    result.stdout.fnmatch_lines(["simulate -- *pytest_plugin.py:*", "*plays a call with the runtime's agent*"])
    result = project.runpytest_inprocess("-p", "orchestration.pytest_plugin", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.virtual_time: run this async test in virtual time (sottovoce)"])


def test_a_pytest_asyncio_that_cannot_choose_loops_is_named(project: pytest.Pytester) -> None:
    """One before 1.4: it runs the test, and has no hook for the loop."""
    project.makepyfile(
        old_asyncio="""
            import asyncio, functools, inspect
            import pytest

            @pytest.hookimpl(tryfirst=True)
            def pytest_runtest_call(item):
                test = item.obj
                if inspect.iscoroutinefunction(test):
                    @functools.wraps(test)
                    def synchronized(**given):
                        return asyncio.run(test(**given))
                    item.obj = synchronized
        """,
        test_old="""
            async def test_virtual(simulate):
                pass

            async def test_real():
                pass
        """,
    )
    project.syspathinsert()
    result = project.runpytest_inprocess("-p", "orchestration.pytest_plugin", "-p", "old_asyncio")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*upgrade it to 1.4 or later*"])


def test_installing_the_project_is_enough(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an installer writes makes the plugin known, by the names that pyproject.toml gives."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"][
        "pytest11"
    ]
    info = project.mkdir("sottovoce-0.0.0.dist-info")
    lines = [f"{name} = {target}" for name, target in declared.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sottovoce\nVersion: 0.0.0\n")
    project.makepyfile(CALL.format(mark=""))
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project.path), str(ROOT)]))
    project.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_run_that_plays_no_call_pays_for_none(project: pytest.Pytester) -> None:
    """Neither the runtime nor numpy nor any vendor is loaded with pytest."""
    project.makepyfile("""
        import sys

        def test_plain():
            heavy = {"numpy", "pydantic", "dbos", "voice", "delivery", "orchestration.runtime", "orchestration.agent"}
            assert heavy & set(sys.modules) == set()
            assert "orchestration.pytest_plugin" in sys.modules
    """)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "orchestration.pytest_plugin"],
        cwd=project.path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
