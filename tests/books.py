"""Ledgers to test with: fixed uid, secret, operator and clock, so that every byte is repeatable."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from pathlib import Path

from eth_account import Account

from token_ledger.chain.signer import KeySigner
from token_ledger.ledger import Ledger

LEDGER_UID = bytes.fromhex("7f" * 32)
SECRET = bytes.fromhex("5e" * 32)
START = 1_700_000_000_000_000
FIRST_PLAY = dt.datetime(2024, 2, 29, tzinfo=dt.UTC)
PEOPLE = ("alice", "bob", "carol", "dave", "erin")


def operator() -> KeySigner:
    """Return the signer whose address is the operator of every test ledger."""
    return KeySigner(Account.from_key("0x" + "0b" * 32))


def stranger() -> KeySigner:
    """Return a signer that no ledger knows."""
    return KeySigner(Account.from_key("0x" + "0c" * 32))


def create(url: str, directory: Path, *, ticking: bool = True) -> Ledger:
    """Return a new ledger with one token, and a clock that ticks a microsecond a call or stands."""
    ticks = itertools.count(START) if ticking else itertools.repeat(START)
    secret = directory / "secret"
    if not secret.exists():
        secret.write_text(SECRET.hex() + "\n")
    ledger = Ledger.create(
        url,
        operator=operator().address,
        ledger_uid=LEDGER_UID,
        secret_file=secret,
        clock=lambda: next(ticks),
    )
    ledger.create_token("TKN", "Token of the tests", 18)
    return ledger


def fill(ledger: Ledger, entries: int, *, seed: int = 1) -> None:
    """Post `entries` entries among five people: endowments, transfers, burns and awards."""
    chance = random.Random(seed)
    for person in PEOPLE:
        ledger.create_account(person, exist_ok=True)
    records = [
        ledger.record(
            "system", person, 1000, reason="endow", idempotency_key=f"{seed}:endow:{person}"
        )
        for person in PEOPLE
    ]
    balances = dict.fromkeys(PEOPLE, 1000)
    while len(records) < entries:
        sender, receiver = chance.sample([*PEOPLE, "system"], 2)
        amount = chance.randint(1, 100)
        if sender != "system" and balances[sender] < amount:
            continue
        for account, change in ((sender, -amount), (receiver, amount)):
            if account != "system":
                balances[account] += change
        key = f"{seed}:{len(records)}"
        records.append(
            ledger.record(
                sender,
                receiver,
                amount,
                reason="play",
                memo="a private word",
                idempotency_key=key,
                timestamp=FIRST_PLAY + dt.timedelta(seconds=len(records)),
            )
        )
    ledger.post_many(records[:entries])
