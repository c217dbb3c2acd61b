"""A front desk that hands callers over to billing or to support, or to a person. No key, no language model.

Say "I have a question about my bill": billing takes over in the same breath, and knows what it is about. There say
"one two three", or "my phone does not work" to be handed on to support. "I want to speak to a person" ends the talk
with the agents.

    sottovoce serve examples/triage.py
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestration import Agent, HandoffMemoryProvider, Runtime, SlidingWindowMemory, Swarm
from orchestration.models import Intent, Scripted

SLOTS = {
    "device": ["phone", "television", "internet"],
    "digit": ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "light": ["red", "green", "off"],
}
LIGHTS = {
    "red": "Then it has no line. I have sent a signal; it will be back in a minute.",
    "green": "Then the box is well. Please turn your device off and on again.",
    "off": "Then it has no power. Please look at the plug.",
}


def hand_over(says: list[str], target: str, before: str, reason: str, shown: str = "") -> Intent:
    """Sentences on which the conversation is given to `target`, with a few words before."""

    def arguments(slots: Mapping[str, str]) -> Mapping[str, str]:
        return {"target": target, "reason": reason, "summary": f"{reason}: {slots.get('device', 'no device')}."}

    return Intent(says, call="handoff_conversation", before=before, arguments=arguments, shown=shown)


TO_BILLING = hand_over(
    ["[i have] a question about my (bill|invoice)", "my (bill|invoice) is wrong"],
    "billing",
    "One moment, I will connect you with billing.",
    "The caller asks about a bill",
    shown="i have a question about my bill",
)
TO_SUPPORT = hand_over(
    ["my {device} does not work", "my {device} is broken"],
    "support",
    "I am sorry to hear that. I will get you technical support.",
    "Something of the caller's does not work",
)
TO_A_PERSON = hand_over(
    ["[i want to] (speak|talk) to a (person|human)"],
    "human",
    "Of course. Please hold the line, somebody will be with you soon.",
    "The caller wants a person",
    shown="i want to speak to a person",
)
THANKS = Intent(["thank you", "thanks", "goodbye"], answer="You are welcome. Goodbye.")


memory = HandoffMemoryProvider(SlidingWindowMemory())  # who takes over is told what it is about

triage = Agent(
    "triage",
    role="Front desk",
    memory=memory,
    greeting="Hello, this is the front desk. What can we do for you?",
    model=Scripted([TO_BILLING, TO_SUPPORT, TO_A_PERSON, THANKS], SLOTS, fallback=("Is it a bill, or a device?",)),
)
billing = Agent(
    "billing",
    role="Billing",
    memory=memory,
    model=Scripted(
        [
            Intent(["[the number is] {digit} {digit} {digit}"], answer="Number {digit} {digit2} {digit3} is paid."),
            *(TO_SUPPORT, TO_A_PERSON, THANKS),
        ],
        SLOTS,
        taking_over=("Billing here. Please tell me the three digits on your bill.",),
        fallback=("I need the three digits that are printed on your bill.",),
    ),
)
support = Agent(
    "support",
    role="Technical support",
    memory=memory,
    model=Scripted(
        [
            Intent(["[the light is] {light}"], answer=lambda slots: LIGHTS[slots["light"]]),
            *(TO_BILLING, TO_A_PERSON, THANKS),
        ],
        SLOTS,
        taking_over=("Support here. Is the light on your box red, green, or off?",),
        fallback=("Please tell me whether the light is red, green, or off.",),
    ),
)

runtime = Runtime(orchestration=Swarm(agents=[triage, billing, support], entry="triage", human=True))
