"""Posts transfers one after the other and says each key when it is acknowledged; to be killed."""

from __future__ import annotations

import sys

from token_ledger.ledger import Ledger


def main(url: str, secret_file: str, run: str) -> None:
    """Post until killed: coalesced singly and in lists of three, by turns."""
    with Ledger.open(url, secret_file=secret_file) as ledger, ledger.coalesced() as fast:
        for number in range(1_000_000):
            keys = [f"{run}:{number}:{part}" for part in range(3 if number % 2 else 1)]
            records = [
                ledger.record("alice", "bob", "0.000001", reason="play", idempotency_key=key)
                for key in keys
            ]
            for posted in fast.post_many(records):
                sys.stdout.write(f"{posted.idempotency_key} {posted.id.hex()}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
