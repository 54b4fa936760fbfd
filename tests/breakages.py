"""What one statement can break in a ledger, and the kinds of findings that follow from it."""

from __future__ import annotations

from collections.abc import Callable

from tests.damage import blob, number

from token_ledger.ledger import Ledger

ONE = 10**18
AN_ENTRY = "reason = 'gift'"
OF_BATCHES = "token_no = 1 AND number = 1"

Statement = Callable[[Ledger], str]
BROKEN: dict[str, tuple[set[str], str, Statement]] = {
    "a memo": (
        {"ref_differs"},
        "token_ledger",
        lambda _: f"UPDATE token_ledger SET memo = 'other' WHERE {AN_ENTRY}",
    ),
    "words that went unrecorded": (
        {"redaction_differs"},
        "token_ledger",
        lambda _: f"UPDATE token_ledger SET memo = NULL, redacted_at = 9 WHERE {AN_ENTRY}",
    ),
    "words that came back": (
        {"redaction_differs"},
        "token_ledger",
        lambda _: "UPDATE token_ledger SET memo = 'back' WHERE reason = 'award'",
    ),
    "a key": (
        {"nonce_differs"},
        "token_ledger",
        lambda _: f"UPDATE token_ledger SET idempotency_key = 'other' WHERE {AN_ENTRY}",
    ),
    "a nonce": (
        {"nonce_differs", "id_differs"},
        "token_ledger",
        lambda ledger: (
            f"UPDATE token_ledger SET nonce = {blob(ledger, b'x' * 32)} WHERE {AN_ENTRY}"
        ),
    ),
    "an id": (
        {"id_differs"},
        "token_ledger",
        lambda ledger: f"UPDATE token_ledger SET id = {blob(ledger, b'x' * 32)} WHERE {AN_ENTRY}",
    ),
    "an amount": (
        {"id_differs", "balance_after_differs", "figure_drift"},
        "token_ledger",
        lambda ledger: (
            f"UPDATE token_ledger SET amount = {number(ledger, 3 * ONE + 1)} WHERE {AN_ENTRY}"
        ),
    ),
    "an amount of nothing": (
        {"entry_invalid", "figure_drift", "balance_after_differs", "reversal_differs"},
        "token_ledger",
        lambda ledger: f"UPDATE token_ledger SET amount = {number(ledger, 0)} WHERE {AN_ENTRY}",
    ),
    "the sides": (
        {"id_differs", "balance_after_differs", "balance_negative", "figure_drift"}
        | {"reversal_differs"},
        "token_ledger",
        lambda _: (
            "UPDATE token_ledger SET from_account = (SELECT account_no FROM accounts"
            " WHERE account_id = 'escrow:carol') WHERE reason = 'gift'"
        ),
    ),
    "an account that is not there": (
        {"entry_invalid", "balance_after_differs", "figure_drift", "reversal_differs"},
        "token_ledger",
        lambda _: f"UPDATE token_ledger SET to_account = 999 WHERE {AN_ENTRY}",
    ),
    "a token that is not there": (
        {"entry_invalid", "balance_after_differs", "figure_drift", "reversal_differs"},
        "token_ledger",
        lambda _: f"UPDATE token_ledger SET token_no = 9 WHERE {AN_ENTRY}",
    ),
    "a balance after": (
        {"balance_after_differs"},
        "token_ledger",
        lambda ledger: (
            f"UPDATE token_ledger SET balance_after_to = {number(ledger, 10**24)} WHERE {AN_ENTRY}"
        ),
    ),
    "the supply after": (
        {"supply_after_differs"},
        "token_ledger",
        lambda ledger: (
            f"UPDATE token_ledger SET supply_after = {number(ledger, ONE)} WHERE reason = 'award'"
        ),
    ),
    "when it was posted": (
        {"time_backwards"},
        "token_ledger",
        lambda _: f"UPDATE token_ledger SET created_at = 5 WHERE {AN_ENTRY}",
    ),
    "the order": (
        {
            *("balance_after_differs", "supply_after_differs", "time_backwards", "figure_drift"),
            "redaction_differs",
        },
        "token_ledger",
        lambda _: "UPDATE token_ledger SET entry_no = 1000 WHERE reason = 'award'",
    ),
    "an entry that is gone": (
        {"balance_after_differs", "figure_drift", "supply_after_differs"},
        "token_ledger",
        lambda _: "DELETE FROM token_ledger WHERE reason = 'award'",
    ),
    "a balance": (
        {"figure_drift", "sum_not_zero"},
        "token_accounts",
        lambda ledger: (
            f"UPDATE token_accounts SET balance = {number(ledger, 1)} WHERE account_no = 1"
        ),
    ),
    "the supply": (
        {"figure_drift", "sum_not_zero"},
        "token_supply",
        lambda ledger: f"UPDATE token_supply SET total_supply = {number(ledger, 1)}",
    ),
    "the ceiling": (
        {"supply_exceeded"},
        "tokens",
        lambda ledger: f"UPDATE tokens SET max_supply = {number(ledger, ONE)}",
    ),
    "a hold's figures": (
        {"figure_drift", "escrow_differs"},
        "token_holds",
        lambda ledger: f"UPDATE token_holds SET remaining = {number(ledger, 1)}",
    ),
    "a hold's value": (
        {"hold_differs"},
        "token_holds",
        lambda ledger: f"UPDATE token_holds SET value = {number(ledger, 99 * ONE)}",
    ),
    "a hold that is gone": (
        {"escrow_differs"},
        "token_holds",
        lambda _: "DELETE FROM token_holds",
    ),
    "a hold without its entry": (
        {"hold_differs"},
        "token_holds",
        lambda _: "UPDATE token_holds SET entry_no = 1000",
    ),
    "a reversal": (
        {"reversal_differs"},
        "token_reversals",
        lambda _: "UPDATE token_reversals SET reversed_entry_no = 1",
    ),
    "a reversal without its entry": (
        {"reversal_differs"},
        "token_reversals",
        lambda _: "UPDATE token_reversals SET reversed_entry_no = 1000",
    ),
    "an award": (
        {"award_differs"},
        "token_awards",
        lambda ledger: (
            f"UPDATE token_awards SET value_after = {number(ledger, 1, size=40)}"
            " WHERE count_after = 1"
        ),
    ),
    "whose award it was": (
        {"award_differs"},
        "token_awards",
        lambda _: "UPDATE token_awards SET account_no = 1 WHERE count_after = 2",
    ),
    "an award without its entry": (
        {"award_differs"},
        "token_awards",
        lambda _: "UPDATE token_awards SET entry_no = 1000 WHERE count_after = 2",
    ),
    "what was drawn": (
        {"debt_differs", "figure_drift"},
        "token_debts",
        lambda ledger: f"UPDATE token_debts SET value = {number(ledger, ONE)} WHERE number = 1",
    ),
    "a debt after": (
        {"debt_differs"},
        "token_debts",
        lambda ledger: (
            f"UPDATE token_debts SET debt_after = {number(ledger, ONE)} WHERE number = 2"
        ),
    ),
    "what brought a repayment": (
        {"debt_differs"},
        "token_debts",
        lambda _: "UPDATE token_debts SET cause_no = 1 WHERE number = 2",
    ),
    "whose debt it was": (
        {"debt_differs", "figure_drift"},
        "token_debts",
        lambda _: "UPDATE token_debts SET account_no = 1 WHERE number = 2",
    ),
    "a change of a debt without its entry": (
        {"debt_differs"},
        "token_debts",
        lambda _: "UPDATE token_debts SET entry_no = 1000 WHERE number = 2",
    ),
    "a write-off that is gone": (
        {"figure_drift"},
        "token_debts",
        lambda _: "DELETE FROM token_debts WHERE kind = 'write-off'",
    ),
    "a date": (
        {"figure_drift"},
        "token_accounts",
        lambda _: "UPDATE token_accounts SET latest_at = 5 WHERE account_no = 1",
    ),
    "a request": (
        {"request_differs"},
        "token_requests",
        lambda ledger: (
            f"UPDATE token_requests SET nonce = {blob(ledger, b'x' * 32)} WHERE entry_no ="
            " (SELECT entry_no FROM token_holds)"
        ),
    ),
    "an address": (
        {"address_differs", "id_differs", "root_differs", "rows_hash_differs"},
        "accounts",
        lambda ledger: (
            f"UPDATE accounts SET address = {blob(ledger, b'x' * 20)} WHERE account_no = 1"
        ),
    ),
    "whose escrow it is": (
        {"account_invalid", "hold_differs", "escrow_differs", "figure_drift"},
        "accounts",
        lambda _: "UPDATE accounts SET escrow_of = 1 WHERE account_id = 'escrow:carol'",
    ),
    "the zero address": (
        {"account_invalid", "id_differs", "root_differs", "rows_hash_differs", "supply_differs"},
        "accounts",
        lambda ledger: (
            f"UPDATE accounts SET address = {blob(ledger, b'y' * 20)} WHERE account_no = 0"
        ),
    ),
    "the token's name": (
        {"token_uid_differs"},
        "tokens",
        lambda _: "UPDATE tokens SET name = 'Another'",
    ),
    "the time of a sealed entry": (
        {"root_differs"},
        "token_ledger",
        lambda _: "UPDATE token_ledger SET timestamp = timestamp + 1 WHERE entry_no = 30",
    ),
    "a batch's root": (
        {"root_differs", "digest_differs"},
        "token_batches",
        lambda ledger: (
            f"UPDATE token_batches SET entries_root = {blob(ledger, b'x' * 32)} WHERE {OF_BATCHES}"
        ),
    ),
    "a batch's rows": (
        {"rows_hash_differs", "digest_differs"},
        "token_batches",
        lambda ledger: (
            f"UPDATE token_batches SET rows_hash = {blob(ledger, b'x' * 32)} WHERE {OF_BATCHES}"
        ),
    ),
    "a batch's supply": (
        {"supply_differs", "digest_differs"},
        "token_batches",
        lambda ledger: (
            f"UPDATE token_batches SET total_supply = {number(ledger, ONE)} WHERE number = 2"
        ),
    ),
    "a batch's digest": (
        {"digest_differs", "header_chain_broken", "signature_differs"},
        "token_batches",
        lambda ledger: (
            f"UPDATE token_batches SET digest = {blob(ledger, b'x' * 32)} WHERE {OF_BATCHES}"
        ),
    ),
    "a batch's time": (
        {"digest_differs"},
        "token_batches",
        lambda _: f"UPDATE token_batches SET sealed_at = 5 WHERE {OF_BATCHES}",
    ),
    "a batch's parent": (
        {"digest_differs", "header_chain_broken"},
        "token_batches",
        lambda ledger: (
            f"UPDATE token_batches SET parent = {blob(ledger, b'x' * 32)} WHERE number = 2"
        ),
    ),
    "where a batch begins": (
        {"entries_left_out", "position_differs", "rows_hash_differs", "root_differs"}
        | {"supply_differs", "rows_differ"},
        "token_batches",
        lambda _: "UPDATE token_batches SET first_entry_no = first_entry_no + 1 WHERE number = 2",
    ),
    "where a batch ends": (
        {"position_differs", "rows_hash_differs", "root_differs", "rows_differ"},
        "token_batches",
        lambda _: "UPDATE token_batches SET last_entry_no = last_entry_no + 1 WHERE number = 2",
    ),
    "a batch that is gone": (
        {"header_chain_broken", "entries_left_out", "supply_differs", "signature_differs"},
        "token_batches",
        lambda _: f"DELETE FROM token_batches WHERE {OF_BATCHES}",
    ),
    "a signature": (
        {"signature_differs"},
        "batch_signatures",
        lambda _: (
            "UPDATE batch_signatures SET signature ="
            " (SELECT signature FROM batch_signatures WHERE number = 2) WHERE number = 1"
        ),
    ),
}
# Which SQLite notices by itself as well: CHECKs and references.
BY_THE_ENGINE = {
    "an amount of nothing",
    "the order",
    "an entry that is gone",
    "a hold without its entry",
    "an award without its entry",
    "a reversal without its entry",
    "a batch that is gone",
    "a change of a debt without its entry",
}
