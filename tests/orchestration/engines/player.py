"""A process with a durable engine that does what it is told, one JSON line at a time: for tests that kill it.

A task's input is a list of steps by name. Each is noted when its work begins; `hold` then waits until the file
`release` is there. The words `stay` and `rest` are no steps: the one waits for ever, the other for that file.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestration.engines.engine import Steps, Task, TaskResult

ROOT = Path(__file__).parents[3]
PATIENCE = 30.0


class Stage:
    """Where players play: the database, and what they noted."""

    def __init__(self, where: str, directory: Path) -> None:
        self.where = where
        self.directory = directory

    @contextmanager
    def player(self, id: str, *, blind: bool = False) -> Iterator[Player]:
        """`blind`: it never looks whether its tasks are still its own, as if it always came too late."""
        with Player(self, id, blind) as player:
            yield player

    def noted(self) -> list[list[str]]:
        """[process, task, what] of everything that was begun, in order."""
        notes = self.directory / "notes"
        return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []

    def wait_for(self, *note: str, times: int = 1) -> None:
        """Until that was noted so many times."""
        until = time.monotonic() + PATIENCE
        while self.noted().count(list(note)) < times:
            assert time.monotonic() < until, f"{note} did not come: {self.noted()}"
            time.sleep(0.005)

    def release(self) -> None:
        (self.directory / "release").touch()


class Player:
    """One process."""

    def __init__(self, stage: Stage, id: str, blind: bool = False) -> None:
        given = (stage.where, id, str(stage.directory), *["blind"] * blind)
        command = [sys.executable, "-W", "error", "-m", __name__, *given]
        self.id = id
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        assert self._answer() == "open"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.process.poll() is None and kind is None:
            self.cont()
            assert self.ask("close") == "closed"
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()

    def ask(self, *words: Any) -> Any:
        self.say(*words)
        return self._answer()

    def say(self, *words: Any) -> None:
        """Ask, and look at the answer later or never."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def ended(self, id: str) -> Any:
        """[status, text, error] of a task that is over; it is waited for."""
        until = time.monotonic() + PATIENCE
        while (found := self.ask("get", id))[0] in ("running", "queued"):
            assert time.monotonic() < until, f"{id} does not end: {found}"
            time.sleep(0.01)
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def cont(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"player {self.id} is gone ({self.process.poll()})"
        return json.loads(line)


class Playing:
    """The player's side of it."""

    def __init__(self, where: str, id: str, directory: Path, blind: bool) -> None:
        from orchestration.engines.durable import DurableEngine

        self.id = id
        self.directory = directory
        self.engine = DurableEngine.in_postgres(where) if "://" in where else DurableEngine.in_file(where)
        if blind:
            self.engine._store.watch = lambda *_: asyncio.sleep(PATIENCE)  # type: ignore[method-assign]

    async def play(self) -> None:
        await self.engine.open(self.body, self.id)
        print(json.dumps("open"), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            verb, *words = json.loads(line)
            print(json.dumps(await getattr(self, verb)(*words)), flush=True)

    async def start(self, id: str, input: str) -> None:
        await self.engine.start(Task(id, "lobby", "analyst", input))

    async def report(self, id: str, progress: dict[str, str], queued: bool) -> None:
        await self.engine.report(id, progress, queued=queued)

    async def unfinished(self) -> list[Any]:
        records = await self.engine.tasks("lobby", unfinished=True)
        return [[record.task.id, record.status, record.progress] for record in records]

    async def adopt(self, *gone: str) -> int:
        return await self.engine.adopt(gone)

    async def cancel(self, id: str) -> bool:
        return await self.engine.cancel(id)

    async def get(self, id: str) -> list[Any]:
        record = await self.engine.get(id)
        assert record is not None
        return [record.status, record.result and record.result.text, record.result and record.result.error]

    async def close(self) -> str:
        await self.engine.aclose()
        return "closed"

    def note(self, task: str, what: str) -> None:
        with (self.directory / "notes").open("a") as file:
            file.write(json.dumps([self.id, task, what]) + "\n")

    async def body(self, task: Task, steps: Steps) -> TaskResult:
        try:
            done = [await self.step(task, steps, name) for name in task.input.split()]
        except BaseException as error:
            running = asyncio.current_task()
            cancelled = isinstance(error, asyncio.CancelledError) and running is not None and running.cancelling()
            self.note(task.id, "cancelled" if cancelled else f"{type(error).__name__}: {error}")
            raise
        self.note(task.id, "ended")
        return TaskResult(", ".join(done))

    async def step(self, task: Task, steps: Steps, name: str) -> str:
        async def work() -> list[str]:
            self.note(task.id, name)
            while name == "hold" and not (self.directory / "release").exists():
                await asyncio.sleep(0.002)
            return [name, self.id]

        if name == "stay":
            self.note(task.id, name)
            self.note(task.id, f"begun {steps.begins}")
            await asyncio.get_running_loop().create_future()
        if name == "rest":
            self.note(task.id, name)
            while not (self.directory / "release").exists():
                await asyncio.sleep(0.002)
            return name
        return " by ".join(await steps.step(name, work))


if __name__ == "__main__":
    asyncio.run(Playing(sys.argv[1], sys.argv[2], Path(sys.argv[3]), "blind" in sys.argv[4:]).play())
