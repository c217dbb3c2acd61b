"""A target leads to a Runtime, or says where it ends; what is wrong inside the user's module is not hidden."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration.runtime import Runtime
from orchestration.target import TargetError, load

Write = Callable[..., Path]

ONE = "from orchestration import Runtime\nruntime = Runtime()\n"
TWO = f"{ONE}other = Runtime(delivery='immediate')\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files into the current directory; what is imported of them is forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)

    def put(name: str, text: str = ONE) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    yield put
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.parametrize(
    "target", ["mine:runtime", "mine", "mine:", "mine.py", "mine.py:runtime", "./mine.py", "{folder}/mine.py:runtime"]
)
def test_a_target_by_module_or_by_file(write: Write, target: str) -> None:
    path = write("mine.py")
    assert isinstance(load(target.format(folder=path.parent)), Runtime)


def test_a_target_in_a_package(write: Write) -> None:
    write("pack/__init__.py", "")
    write("pack/inner/app.py")
    assert isinstance(load("pack.inner.app:runtime"), Runtime)


def test_a_file_imports_what_lies_beside_it(write: Write) -> None:
    write("deep/beside.py", "from orchestration import Runtime\nmade = Runtime(delivery='queued')")
    write("deep/app.py", "from beside import made as runtime")
    assert load("deep/app.py").delivery.name == "queued"


@pytest.mark.parametrize("name", ["voice.py", "json.py", "orchestration.py", "pytest.py"])
def test_a_file_may_be_called_like_a_module_that_is_there(write: Write, name: str) -> None:
    module = sys.modules.get(name.removesuffix(".py"))
    write(f"mine/{name}")
    assert isinstance(load(f"mine/{name}:runtime"), Runtime)
    assert sys.modules.get(name.removesuffix(".py")) is module


def test_a_file_can_be_pickled_by_its_module(write: Write) -> None:
    write("app.py", f"{ONE}\nfrom dataclasses import dataclass\n@dataclass\nclass It:\n    x: int = 1\n")
    load("app.py")
    assert sys.modules["app"].It().x == 1


def test_one_runtime_under_two_names_is_one(write: Write) -> None:
    write("mine.py", f"{ONE}again = runtime\n")
    assert isinstance(load("mine"), Runtime)


def test_of_several_one_is_chosen_by_name(write: Write) -> None:
    write("mine.py", TWO)
    assert load("mine:other").delivery.name == "immediate"


@pytest.mark.parametrize(
    ("target", "text", "fault"),
    [
        ("", ONE, r"target: '' names no module; write app:runtime or path/to/app.py"),
        (":runtime", ONE, r"target: ':runtime' names no module"),
        ("  :runtime", ONE, "names no module"),
        ("nowhere", ONE, r"target: there is no module 'nowhere' \(looked in /.* and on the path\)"),
        ("nowhere.app:runtime", ONE, "there is no module 'nowhere.app'"),
        ("mine.inner:runtime", ONE, "there is no module 'mine.inner'"),
        ("nowhere.py", ONE, r"target: there is no file nowhere.py \(looked in /"),
        ("no/where/app.py:runtime", ONE, "there is no file no/where/app.py"),
        ("folder.py", ONE, "there is no file folder.py"),
        ("path/to/app", ONE, "'path/to/app' is no module's name; write app:runtime or path/to/app.py"),
        (".mine:runtime", ONE, "'.mine' is no module's name"),
        ("mine..inner", ONE, "is no module's name"),
        ("my app", ONE, "is no module's name"),
        ("a\0b", ONE, "is no module's name"),
        ("mine:nothing", ONE, "target: 'nothing' in mine is not there; it has runtime"),
        ("mine:runtime.delivery", ONE, "'runtime.delivery' in mine is not there"),
        ("mine:word", f"{ONE}word = 'hello'", "'word' in mine is str, no Runtime; it has runtime"),
        ("mine:nothing", f"{ONE}nothing = None", "'nothing' in mine is NoneType, no Runtime"),
        ("mine:Runtime", ONE, "'Runtime' in mine is type, no Runtime"),
        ("mine:runtime", "", "'runtime' in mine is not there; it has no Runtime at all"),
        ("mine", "", r"target: mine has not exactly one Runtime \(found: none\); write mine:name"),
        ("mine", TWO, r"has not exactly one Runtime \(found: runtime, other\); write mine:name"),
        ("mine.py", TWO, r"write mine.py:name"),
    ],
)
def test_a_target_that_leads_nowhere_says_where_it_ends(write: Write, target: str, text: str, fault: str) -> None:
    write("mine.py", text)
    (write("folder.py/x.txt", "").parent).is_dir()
    with pytest.raises(TargetError, match=fault):
        load(target)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1 / 0", ZeroDivisionError),
        ("def x(:", SyntaxError),
        ("import surely_not_there", ModuleNotFoundError),
        ("import mine.inner", ModuleNotFoundError),
        ("from orchestration import Nothing", ImportError),
        ("raise FileNotFoundError('data.csv')", FileNotFoundError),
        ("from orchestration import Runtime\nRuntime(colour='red')", TypeError),
    ],
)
@pytest.mark.parametrize("target", ["mine:runtime", "mine.py"])
def test_what_is_wrong_inside_the_users_module_is_not_hidden(
    write: Write, text: str, error: type[Exception], target: str
) -> None:
    write("mine.py", text)
    for _ in range(2):
        with pytest.raises(error):
            load(target)
    assert "mine" not in sys.modules


def test_looking_in_a_folder_twice_puts_it_on_the_path_once(write: Write) -> None:
    folder = write("mine.py").parent
    for _ in range(3):
        load("mine")
        load("mine.py")
    assert sys.path.count(str(folder)) == 1
