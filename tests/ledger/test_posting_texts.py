"""Texts of many entries at once: however a list is written, nothing in it is read as syntax."""

from __future__ import annotations

import pytest

from token_ledger.core.parse import canonical_metadata
from token_ledger.core.types import Record, Texts
from token_ledger.ledger import Ledger


@pytest.mark.parametrize("count", [1, 2, 250])
def test_texts_of_a_list_come_back_as_given(count: int, ledger: Ledger) -> None:
    """However many are posted at once: quotes, backslashes, braces, commas, NULL, nothing."""
    odd = ['"', "\\", '\\"', "{}", "a,b", "NULL", "null", " ", "\n\t", "'", "%s", "\\x00", "𝄞ä", ""]
    records = [
        Record(
            "alice",
            "bob",
            number + 1,
            Texts(
                reason=odd[number % 13],
                reference_type=odd[(number + 1) % 14],
                reference_id=odd[(number + 2) % 14],
                memo=odd[(number + 3) % 14] * 3,
                metadata=canonical_metadata({odd[number % 14]: number}) if number % 3 else None,
            ),
            f"{odd[number % 14]}{number}",
        )
        for number in range(count)
    ]
    ids = [posted.id for posted in ledger.post_many(records)]
    found = [ledger.get_entry(entry_id) for entry_id in ids]
    assert records == [
        Record(
            entry.from_account,
            entry.to_account,
            entry.value,
            Texts(
                reason=entry.reason or "",
                reference_type=entry.reference_type or "",
                reference_id=entry.reference_id or "",
                memo=entry.memo or "",
                metadata=entry.metadata,
            ),
            entry.idempotency_key,
        )
        for entry in found
    ]
