"""A writer who talks with you while three reviewers refuse her first draft and approve the second. No key.

Say "write a welcome message for new neighbours", and talk on: "how is it going", "who will read it". Once all three
reviewers approve, and it is quiet, the message is read to you.

    sottovoce serve examples/loop_reviewers.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from delivery import WaitForIdle
from orchestration import Agent, Loop, Runtime
from orchestration.models import Intent, Message, Prepared, Scripted, ToolCall, ToolSpec

READERS = ["new neighbours", "old friends", "our guests", "night owls"]
TASK = "a welcome message for "
DRAFT = "Welcome, {readers}! The door is open. We have been counting the days, hours and minutes until now."
FINAL = "Welcome, {readers}! The door is open, and the tea is hot."
LONG_WINDED = "counting the days"
"""What is in the first draft only."""
TOO_LONG = "It is too long. Leave out how long we have waited."
APPROVE = ToolCall("approve", "approve_output")


def write(task: str) -> str:
    """The writer at work: on a task for the first time, or with what the reviewers want changed."""
    readers = next((each for each in READERS if task.startswith(TASK + each)), None)
    if readers is None:
        return "Sorry, I only write welcome messages."  # it was no task, but a caller who said something else
    return (FINAL if TOO_LONG in task else DRAFT).format(readers=readers)


def reviewer(id: str, role: str, seconds: float, refuses: Callable[[str], str] = lambda draft: "") -> Agent:
    """One that reads for so many seconds, and then says what has to change, or approves."""

    def verdict(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        return refuses(messages[-1].text) or APPROVE

    return Agent(id, role=role, model=Prepared([verdict], delay=seconds))


writer = Agent(
    "writer",
    role="Writer",
    greeting="Hello, I write welcome messages. For whom shall I write one?",
    model=Scripted(
        slots={"readers": READERS},
        intents=[
            Intent(
                ["[please] write a welcome message for {readers}", "write one for {readers}", "for {readers}"],
                call="delegate_loop",
                arguments=lambda slots: {"task": TASK + slots["readers"]},
                answer="I am on it. Three colleagues will read it before you hear it.",
                shown="write a welcome message for new neighbours",
            ),
            Intent(["who will read it"], answer="One looks at the tone, one at the length, and one at the facts."),
            Intent(["how is it going", "is it done"], call="task_status"),
            Intent(["forget it", "cancel that"], call="cancel_task"),
            Intent(["read it again", "say that again"], call="recall"),
        ],
        fallback=write,
        telling=("All three have approved it. It reads: {result}",),
    ),
)

runtime = Runtime(
    orchestration=Loop(
        agent=writer,
        reviewers=[
            reviewer("tone", "Tone reviewer", 2.0),
            reviewer("length", "Length reviewer", 3.0, lambda draft: TOO_LONG if LONG_WINDED in draft else ""),
            reviewer("facts", "Facts reviewer", 4.0),
        ],
        strategy="parallel",
        max_iterations=3,
    ),
    delivery=WaitForIdle(buffer=1.0),
)
