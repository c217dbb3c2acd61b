"""Decide when a result is spoken, and see that it is heard."""

from delivery.ledger import Delivery, Entry, LedgerError, OnInterrupt, SpeakAs, Status
from delivery.receipt import Outcome, Receipt, Step
from delivery.strategies import Immediate, Queued, Strategy, WaitForIdle

__all__ = [
    "Delivery",
    "Entry",
    "Immediate",
    "LedgerError",
    "OnInterrupt",
    "Outcome",
    "Queued",
    "Receipt",
    "SpeakAs",
    "Status",
    "Step",
    "Strategy",
    "WaitForIdle",
]
