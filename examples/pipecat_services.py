"""Bring Pipecat's services: AssemblyAI hears, Cartesia speaks, Anthropic thinks; rooms, floor and tasks are ours.

Any other STT or TTS service of pipecat-ai will do. None of Pipecat's pipelines or transports is used.

    pip install 'sottovoce[demo,anthropic,pipecat]' 'pipecat-ai[assemblyai,cartesia]'
    export ASSEMBLYAI_API_KEY=... CARTESIA_API_KEY=... CARTESIA_VOICE=... ANTHROPIC_API_KEY=...
    sottovoce serve examples/pipecat_services.py
"""

from __future__ import annotations

import os

from orchestration import Agent, Pipeline, Runtime, Speech
from orchestration.models import Anthropic
from voice import stt, tts

try:
    from pipecat.services.assemblyai.stt import AssemblyAISTTService
    from pipecat.services.cartesia.tts import CartesiaTTSService
except ImportError as missing:
    raise SystemExit(f"pipecat_services.py: {missing}; its first lines say what to install") from None


# A service of Pipecat's serves one caller, so each is made anew: give the function that makes it, not a service.
def hearing() -> AssemblyAISTTService:
    return AssemblyAISTTService(api_key=os.environ["ASSEMBLYAI_API_KEY"])


def speaking() -> CartesiaTTSService:
    return CartesiaTTSService(
        api_key=os.environ["CARTESIA_API_KEY"],
        settings=CartesiaTTSService.Settings(voice=os.environ["CARTESIA_VOICE"]),
    )


host = Agent(
    "host",
    role="Host",
    greeting="Hello. Ask me anything.",
    prompt="You are on the telephone. All you write is spoken aloud: answer in one or two short sentences.",
    model=Anthropic(),
)

runtime = Runtime(
    orchestration=Pipeline(agents=[host]),
    speech=Speech(
        stt=[stt.PipecatSTT(hearing, name="assemblyai"), stt.Pocketsphinx()],
        tts=[tts.PipecatTTS(speaking, name="cartesia"), tts.Flite(), tts.Espeak()],
    ),
)
