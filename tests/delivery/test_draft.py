"""Drafts: the next message, made once, and made anew when it would be another."""

from __future__ import annotations

from delivery.draft import Drafts
from delivery.ledger import Delivery, Entry, Status
from delivery.pending import Next, Pending
from delivery.strategies import Queued, Strategy


def pending(id: str, strategy: Strategy, **fields: int) -> Pending:
    priority = fields.pop("priority", 0)
    delivery = Delivery(id, "room", f"{id} is here", strategy.written(), to="anna", priority=priority)
    return Pending.of(Entry(delivery, Status.QUEUED, 1, **fields), strategy, 0.0)


def test_a_message_is_made_once_and_handed_over_once() -> None:
    drafts = Drafts("Well: ", "So: ")
    items = [pending("a", Queued(1.0, separator="; ")), pending("b", Queued(2.0), priority=3, heard_chars=4)]
    assert not drafts.has(items)
    draft = drafts.write(items)
    assert drafts.has(list(items))
    assert drafts.write(list(items)) is draft
    assert drafts.take(items) is draft
    assert not drafts.has(items)
    message = draft.speak.message
    assert (message.text, message.to, message.over) == ("a is here; So: here", "anna", False)
    assert [(m.id, m.status, m.heard_chars) for m in draft.record.moves] == [
        ("a", Status.SPEAKING, 0),
        ("b", Status.SPEAKING, 4),
    ]
    spoken = draft.spoken(7.0)
    assert (spoken.message, spoken.priority, spoken.recorded) == (message, 3, 7.0)


def test_another_message_is_another_draft_with_an_id_of_its_own() -> None:
    drafts = Drafts("", "")
    a, b = pending("a", Queued()), pending("b", Queued())
    first = drafts.write([a])
    second = drafts.write([a, b])
    assert first.speak.message.id != second.speak.message.id
    assert drafts.take([a]).speak.message.text == "a is here"


def test_what_asks_for_the_floor_is_another_message() -> None:
    drafts = Drafts("Well: ", "So: ")
    item = pending("a", Queued())
    plain = drafts.write([item])
    for why in (Next.ASKED, Next.LATE):
        item.next = why
        asking = drafts.write([item])
        assert asking is not plain
        assert (asking.speak.message.text, asking.spoken(0.0).asks) == ("Well: a is here", True)
    item.next = Next.URGENT
    assert drafts.write([item]).speak.message.text == "a is here"
