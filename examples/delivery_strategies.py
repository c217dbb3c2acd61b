"""When results are told: at once, in silence, or all together; and hooks that see each of them. No key.

A call is simulated in virtual time, so this takes no time at all: the agent talks for eight seconds, and three results
come in the meantime.

    python examples/delivery_strategies.py
"""

from __future__ import annotations

from delivery import Immediate, Queued, Strategy, WaitForIdle
from orchestration import (
    Agent,
    HookContext,
    HookEvent,
    HookExecution,
    HookTrigger,
    Pipeline,
    Runtime,
    simulate,
)
from orchestration.models import Prepared
from voice.clock import run

GREETING = "Hello and welcome to the station. I tell you all about trains that come and go today, if you like."
host = Agent("host", role="Host", greeting=GREETING, model=Prepared(["Just wait for it."]))
runtime = Runtime(orchestration=Pipeline(agents=[host]), delivery=WaitForIdle(buffer=3.0), state=None)


@runtime.hook(HookTrigger.BEFORE_DELIVER, execution=HookExecution.SYNC)
async def before(event: HookEvent, context: HookContext) -> str:
    """A SYNC hook may change the words, or refuse them with `raise Refuse(why)`."""
    return event.text.replace("Edinburgh", "Edinburgh Waverley")


@runtime.hook(HookTrigger.AFTER_DELIVER, execution=HookExecution.ASYNC)
async def after(event: HookEvent, context: HookContext) -> None:
    error = event.metadata["error"]
    print(f"  ({event.metadata['strategy']}: {f'failed, {error}' if error else 'heard'})")


async def play(strategy: Strategy | str) -> None:
    """What a silent caller hears, and when."""
    async with simulate(runtime) as call:
        began = call.now
        await call.silence(2.0)
        for city in ("London", "Paris", "Edinburgh"):
            await call.runtime.deliver(call.room, f"The train to {city} is late.", strategy=strategy)
        await call.silence(60.0)
        print(f"{strategy}:")
        for line in call.lines:
            print(f"  {line.started - began:5.1f} s  {line.heard}")


async def main() -> None:
    """The three strategies; a name stands for one with its defaults."""
    for strategy in (Immediate(), WaitForIdle(buffer=3.0), Queued(buffer=2.0), "queued"):
        await play(strategy)


if __name__ == "__main__":
    run(main())
