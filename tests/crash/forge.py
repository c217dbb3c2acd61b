"""A forge of processes: imports the programs once, then forks: a start costs 20 ms instead of a second and a half.

It is a process of its own with one thread and no event loop when it forks, so that a fork is safe. Commands and answers
are lines of JSON on its standard input and output; when its input ends, all that it forked dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(eq=False)
class Child:
    """A forked process; `ended` is its exit code, below 0 the signal that killed it."""

    pid: int
    ended: asyncio.Future[int]

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens to one that is gone."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)


@dataclass(eq=False)
class Forge:
    """See `forge`."""

    _process: asyncio.subprocess.Process
    _children: dict[int, Child] = field(default_factory=dict)
    _asked: list[asyncio.Future[Child]] = field(default_factory=list)

    async def run(self, **facts: Any) -> Child:
        """Fork a process that plays `tests.crash.program.main(facts)`."""
        assert self._process.stdin is not None
        born: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._asked.append(born)
        self._process.stdin.write(json.dumps(facts).encode() + b"\n")
        await self._process.stdin.drain()
        return await born

    async def listen(self) -> None:
        """Take in who was born, in the order in which they were asked for, and who ended."""
        assert self._process.stdout is not None
        loop = asyncio.get_running_loop()
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            if "code" in told:
                self._children.pop(told["pid"]).ended.set_result(told["code"])
            else:
                child = Child(told["pid"], loop.create_future())
                self._children[child.pid] = child
                self._asked.pop(0).set_result(child)
        for waiting in self._asked:
            waiting.set_exception(RuntimeError("the forge is gone; what it said stands above"))


@contextlib.asynccontextmanager
async def forge() -> AsyncIterator[Forge]:
    """A forge, and the end of all that came from it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.crash.forge"),
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    made = Forge(process)
    listening = asyncio.create_task(made.listen())
    try:
        yield made
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening


# -- in the forge's own process


def _serve() -> None:
    import select

    from tests.crash import program

    program.prepare()
    children: set[int] = set()
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waiting = b""
    while True:
        readable, _, _ = select.select([0, waker], [], [])
        if waker in readable:
            os.read(waker, 4096)
            _bury(children)
        if 0 not in readable:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            break
        *lines, waiting = (waiting + chunk).split(b"\n")
        for line in lines:
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(waker)
                os.close(wake)
                _be(json.loads(line))
            children.add(pid)
            _tell(pid=pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _bury(children: set[int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        children.discard(pid)
        _tell(pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**facts: int) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def _be(facts: dict[str, Any]) -> None:
    """Be a process of the suite's until its end; what it prints goes to its log."""
    from tests.crash import program

    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        log = os.open(facts["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        program.main(facts)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
