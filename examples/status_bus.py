"""Agents tell what they do on the status bus; a dashboard, a file and a prompt follow it. No key, no language model.

python examples/status_bus.py
"""

from __future__ import annotations

import asyncio

from orchestration import ALL_ROOMS, Agent, Runtime, StatusEntry, StatusLevel, Supervisor
from orchestration.models import Prepared

manager = Agent("manager", role="Manager", greeting="Hello.", model=Prepared(["They are at work."]))
researcher = Agent("researcher", role="Researcher", model=Prepared(["Seven pages were found."], delay=0.5))
coder = Agent("coder", role="Coder", model=Prepared(["print(7)"], delay=0.2))
# InMemoryStatusBackend(path="status.jsonl") as `status` keeps a file; a `state` directory keeps them in its database.
runtime = Runtime(orchestration=Supervisor(manager, workers=[researcher, coder]), state=None)


async def main() -> None:
    """Posts by hand, and those of two background tasks."""
    async with runtime:
        bus = runtime.status_bus

        async def on_status(entry: StatusEntry) -> None:
            print(f"[{entry.agent_id}] {entry.action} {entry.status} {entry.detail}".rstrip())

        await bus.subscribe(on_status, room=ALL_ROOMS)
        room = await runtime.create_room("project-room")
        bus.post(agent_id="researcher", action="search", status=StatusLevel.OK, detail="Found 7 pages", room=room.id)
        bus.post(agent_id="coder", action="run_tests", status=StatusLevel.FAILED, detail="3 tests", room=room.id)
        for worker in ("researcher", "coder"):
            task = await runtime.delegate(room.id, worker, "Have a look at it.")
            await runtime.tasks.result(task.id, within=5.0)
        await asyncio.sleep(0.1)
        failed = await bus.recent(10, room=room.id, status=StatusLevel.FAILED)
        print(f"failed: {[entry.agent_id for entry in failed]}")
        print("for a prompt:")
        print(await bus.recent_text(3, room=room.id, max_chars=400))


if __name__ == "__main__":
    asyncio.run(main())
