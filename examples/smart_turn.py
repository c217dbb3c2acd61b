"""Pipecat's Smart Turn hears by the melody of a sentence whether it is over; the rest is embedded. No key, no cloud.

Say "I would like", think for two seconds, and say "a pizza": nobody cuts in. "Tell me a joke" is answered at once.

    pip install 'sottovoce[demo,pipecat]'                  # pipecat-ai carries the model (8 MB, BSD)
    sottovoce serve examples/smart_turn.py
"""

from __future__ import annotations

from orchestration import Agent, Pipeline, Runtime, Speech
from orchestration.models import Intent, Scripted
from voice import stt, tts
from voice.smart_turn import SmartTurn

if not (found := SmartTurn.check()).usable:
    raise SystemExit(f"smart_turn.py: {found.detail}: {found.fix}")

host = Agent(
    "host",
    role="Waiter",
    greeting="Hello. What would you like?",
    model=Scripted(
        [
            Intent(
                ["[i would like] [a|some] {dish} [please]"],
                answer="One {dish}, with pleasure.",
                shown="i would like some soup",
            ),
            Intent(["tell me a joke"], answer="A man walks into a library and orders some fish."),
        ],
        {"dish": ["soup", "pizza", "ice cream"]},
        fallback=("We have soup, pizza and ice cream.",),
    ),
)

runtime = Runtime(
    orchestration=Pipeline(agents=[host]),
    # A turn that sounds finished is over after 0.2 s of silence, any other only after 2.5 s.
    speech=Speech(
        stt=stt.Pocketsphinx(),
        tts=[tts.Flite(), tts.Espeak()],
        endpointer=SmartTurn(silence=0.2, longest=2.5),
    ),
)
