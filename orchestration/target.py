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
    if not where:
        raise TargetError(f"target: {target!r} names no module; write app:runtime or path/to/app.py")
    module = _from_file(Path(where)) if where.endswith(".py") else _from_name(where)
    runtimes = [name for name, value in vars(module).items() if isinstance(value, Runtime)]
    if not attribute and "runtime" in runtimes:
        attribute = "runtime"
    if not attribute and len(runtimes) != 1:
        found = ", ".join(runtimes) or "none"
        raise TargetError(f"target: {where} has not exactly one Runtime (found: {found}); write {where}:name")
    name = attribute or runtimes[0]
    value = getattr(module, name, None)
    if isinstance(value, Runtime):
        return value
    found = f"it has {', '.join(runtimes)}" if runtimes else "it has no Runtime at all"
    what = f"is {type(value).__name__}, no Runtime" if value is not None else "is not there"
    raise TargetError(f"target: {name!r} in {where} {what}; {found}")


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(f"target: there is no file {path} (looked in {Path.cwd()})")
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"target: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _from_name(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise
        raise TargetError(f"target: there is no module {name!r} (looked in {Path.cwd()} and on the path)") from None
