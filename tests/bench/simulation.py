"""How long an hour of simulated talk takes: `python -m tests.bench.simulation`.

The demo's agent and a caller talk without a break for an hour of virtual time: questions, background work, results that
are cut and offered again.
"""

from __future__ import annotations

from itertools import cycle

from examples import demo
from orchestration.simulation import simulate
from voice.clock import run, wall_seconds

HOUR = 3600.0
TOPICS = ("electric cars", "solar panels", "heat pumps", "wind power", "night trains")


async def talk(seconds: float) -> int:
    """Talk for so long; returns how many lines the caller heard."""
    async with simulate(demo.runtime) as call:
        for topic in cycle(TOPICS):
            if call.now >= seconds:
                break
            await call.say(f"look into {topic}")
            await call.hears("on it")
            await call.say("what time is it in rome")
            await call.hears("in rome")
            await call.hears("analysts found")
            await call.interrupt("what is two plus three")
            await call.hears("as i was saying")
            await call.say("thank you")
            await call.hears("you are welcome")
        return len(call.lines)


def main() -> None:
    """Print the figure."""
    begun = wall_seconds()
    lines = run(talk(HOUR))
    took = wall_seconds() - begun
    print(f"an hour of simulated talk ({lines} lines heard)  {took:6.2f} s  ({HOUR / took:,.0f} times real time)")


if __name__ == "__main__":
    main()
