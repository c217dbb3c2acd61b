"""LiveKit's realtime models: any `livekit.agents` RealtimeModel as a speech-to-speech model of ours.

What a plugin says and does in a talk, and what it is told, is in `livekit_session`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voice import livekit
from voice.channel import Capabilities
from voice.check import Check
from voice.realtime.livekit_session import LiveKitSession
from voice.realtime.session import Instructions

if TYPE_CHECKING:
    from livekit.agents import llm as plugins

WHAT = "LiveKit's realtime models"


class LiveKitRealtime:
    """The provider: `LiveKitRealtime(openai.realtime.RealtimeModel(voice="marin"))`. The model has to find the ends of
    turns, to write down what callers say, and to speak itself; which of our wishes it is told, its own capabilities
    say.

    Raises TypeError for what is no model, ValueError for one that cannot do that.
    """

    name = "livekit"
    capabilities = Capabilities(owns_turns=True, injection=frozenset({"now", "idle", "queue"}))

    def __init__(self, model: plugins.RealtimeModel) -> None:
        self.name = livekit.named(model, "model", "session")
        can = model.capabilities
        for able, what, fix in (
            (can.turn_detection, "does not find the ends of turns", "switch its turn detection on"),
            (can.user_transcription, "does not write down what callers say", "switch its transcription on"),
            (can.audio_output, "makes no sound", "have it answer in sound, not in text"),
        ):
            if not able:
                raise ValueError(f"model: {self.name} {what}; {fix}, or use it as no realtime model")
        self._model = model
        self._home = livekit.Home(self.name)

    def __repr__(self) -> str:
        return f"LiveKitRealtime({self.name!r})"

    async def prepare(self) -> None:
        """There is nothing to load: who has made the model has imported all of it."""

    async def open(self, instructions: Instructions) -> LiveKitSession:
        """Begin a talk. Raises ProviderError; that the service cannot be reached is told by iterating."""
        try:
            talk = self._home.call(self._model.session)
        except Exception as error:
            raise livekit.failure(self.name, error) from None
        session = LiveKitSession(talk, self.name, self._home)
        try:
            await session.begin(instructions)
        except BaseException:
            await session.aclose()
            raise
        return session

    async def aclose(self) -> None:
        """Close the plugin and its connections. Whether it can be used again is the plugin's affair; most can."""
        await self._home.aclose(self._model.aclose)

    @classmethod
    def check(cls) -> Check:
        """Whether livekit-agents is installed."""
        return livekit.check(cls.name, WHAT)
