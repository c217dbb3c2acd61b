"""A target, `app:runtime` or `path/to/app.py[:runtime]`, as a command line names it, and the Runtime behind it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from orchestration.runtime import Runtime


class TargetError(Exception):
    """The target does not lead to a Runtime; the message says where it ends and what to write instead."""


def load(target: str) -> Runtime:
    """Import what `target` names. Raises TargetError; errors inside the user's module are raised as they are."""
    where, _, attribute = target.partition(":")
    if not where.strip():
        raise TargetError(f"target: {target!r} names no module; write app:runtime or path/to/app.py")
    module = _from_file(Path(where)) if where.endswith(".py") else _from_name(where)
    return _chosen(module, where, attribute) if attribute else _only(module, where)


def _chosen(module: ModuleType, where: str, name: str) -> Runtime:
    """The Runtime of this name."""
    missing = object()
    value = getattr(module, name, missing)
    if isinstance(value, Runtime):
        return value
    what = "is not there" if value is missing else f"is {type(value).__name__}, no Runtime"
    names = _runtimes(module)
    found = f"it has {', '.join(names)}" if names else "it has no Runtime at all"
    raise TargetError(f"target: {name!r} in {where} {what}; {found}")


def _only(module: ModuleType, where: str) -> Runtime:
    """The one Runtime there is."""
    names = _runtimes(module)
    found: dict[int, Runtime] = {id(it): it for it in (getattr(module, name) for name in names)}
    if len(found) == 1:
        return next(iter(found.values()))
    raise TargetError(
        f"target: {where} has not exactly one Runtime (found: {', '.join(names) or 'none'}); write {where}:name"
    )


def _runtimes(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, Runtime)]


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(f"target: there is no file {path} (looked in {Path.cwd()})")
    path = path.resolve()
    _look_in(path.parent)
    # A file may be called like a module of ours, or of somebody else; that one must stay what it is.
    name = path.stem if path.stem not in sys.modules else f"sottovoce_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"target: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_name(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(f"target: {name!r} is no module's name; write app:runtime or path/to/app.py")
    _look_in(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise TargetError(f"target: there is no module {name!r} (looked in {Path.cwd()} and on the path)") from None


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
