"""Deepgram's Voice Agent hears, thinks and speaks by itself; our agents work underneath, and their results wait for it.

Say "look into electric cars", and talk on: what the workers find is told when you and the agent are both silent.

    pip install 'sottovoce[demo,anthropic,deepgram]'
    export DEEPGRAM_API_KEY=... ANTHROPIC_API_KEY=...      # or, without keys: python -m tests.fakes
    sottovoce serve examples/realtime.py
"""

from __future__ import annotations

import asyncio

from delivery import WaitForIdle
from orchestration import Agent, Runtime, Speech, Supervisor
from orchestration.models import Anthropic
from orchestration.workers import Context, worker
from voice import tts
from voice.realtime.deepgram import DeepgramAgent

SECONDS = 6.0


@worker(role="Archive")
async def archive(topic: str, context: Context) -> str:
    """Stands in for slow work; a worker may be an agent with a model of its own, too."""
    context.progress("reading old papers")
    await asyncio.sleep(SECONDS)
    return "Electric cars are older than petrol cars."


host = Agent(
    "host",
    role="Host",
    greeting="Hello. What shall I look into for you?",
    prompt="You are on the telephone. Answer in one or two short sentences. When the caller wants something looked "
    "into, call delegate_workers and say that the archive is on it; what it finds is told later by itself.",
    # The Voice Agent talks with callers, as this agent and with its tools. The agent's own model finds the words for
    # results, and answers what is written.
    model=Anthropic(),
)

runtime = Runtime(
    orchestration=Supervisor(host, workers=[archive], strategy="parallel"),
    delivery=WaitForIdle(buffer=1.0),
    speech=Speech(
        realtime=DeepgramAgent(listen="nova-3", think="claude-sonnet-5", speak="aura-2-thalia-en"),
        tts=[tts.Deepgram(), tts.Flite(), tts.Espeak()],  # says what the Voice Agent cannot: that it is not there
    ),
)
