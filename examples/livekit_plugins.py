"""Bring LiveKit's plugins: AssemblyAI hears, ElevenLabs speaks, OpenAI thinks; rooms, floor and tasks are ours.

Any other plugin of livekit-agents will do. No LiveKit server is needed.

    pip install 'sottovoce[demo,livekit]' livekit-plugins-assemblyai livekit-plugins-elevenlabs livekit-plugins-openai
    export ASSEMBLYAI_API_KEY=... ELEVEN_API_KEY=... OPENAI_API_KEY=...
    sottovoce serve examples/livekit_plugins.py
"""

from __future__ import annotations

from orchestration import Agent, Pipeline, Runtime, Speech
from orchestration.models import LiveKitLLM
from voice import stt, tts

try:
    from livekit.plugins import assemblyai, elevenlabs, openai
except ImportError as missing:
    raise SystemExit(f"livekit_plugins.py: {missing}; its first lines say what to install") from None

host = Agent(
    "host",
    role="Host",
    greeting="Hello. Ask me anything.",
    prompt="You are on the telephone. All you write is spoken aloud: answer in one or two short sentences.",
    model=LiveKitLLM(openai.LLM(model="gpt-5-mini")),
)

runtime = Runtime(
    orchestration=Pipeline(agents=[host]),
    # Plugins may stand before what is embedded, or before each other, like any provider.
    speech=Speech(
        stt=[stt.LiveKitSTT(assemblyai.STT()), stt.Pocketsphinx()],
        tts=[tts.LiveKitTTS(elevenlabs.TTS()), tts.Flite(), tts.Espeak()],
    ),
)
