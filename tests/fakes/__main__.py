"""All fake services, to try examples by hand without a key; see `tests.fakes` for what they understand."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes import __doc__ as told
from tests.fakes.anthropic import Answer
from tests.fakes.cloud import Cloud, thinks
from tests.fakes.deepgram_speak import embedded
from tests.fakes.hearing import Ear, Sphinx
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Hints

PAUSE = 0.6
"""Seconds of silence that end a turn, for people."""


WORK = 5.0
"""Seconds that the bigger models take, so that there is something to talk over."""
BIGGER = ("sonnet", "opus")


def at_leisure(body: Mapping[str, Any]) -> Answer:
    """What `thinks` makes of it, after a while where the model is a big one."""
    answer = thinks(body)
    if not any(name in body["model"] for name in BIGGER):
        return answer
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(WORK, done.set)
    return [done, *([answer] if isinstance(answer, str) or not isinstance(answer, Sequence) else answer)]


def grammar(sentences: list[str]) -> Hints:
    """Just these sentences; none: anything."""
    return Hints(f"#JSGF V1.0; grammar heard; public <heard> = {' | '.join(sentences)};") if sentences else Hints()


async def main() -> None:
    """Until the time is over."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fakes", description=told, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="then it ends (60)")
    parser.add_argument("--hear", action="append", default=[], metavar="SENTENCE", help="listen for just these")
    parser.add_argument("--deepgram-port", type=int, default=0, help="any free one unless given")
    parser.add_argument("--anthropic-port", type=int, default=0, help="any free one unless given")
    options = parser.parse_args()
    ears, hints = Pocketsphinx(), grammar(options.hear)
    await ears.prepare()

    def ear() -> Ear:
        return Sphinx(ears, hints)

    ports = options.deepgram_port, options.anthropic_port
    async with Cloud(ear, embedded(), thinks=at_leisure, over=PAUSE, ports=ports) as cloud:
        for name, value in cloud.environment.items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"# copy these lines into another terminal; here it ends after {options.minutes:g} minutes", flush=True)
        await asyncio.sleep(60 * options.minutes)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
