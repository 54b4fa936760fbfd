"""Canaries: stores and posters with one planted bug each, which the suite must catch.

Method: a piece of the conformance suite runs in a process whose module has one line changed. It
must fail; and the same pieces pass where nothing is planted, as the suite itself shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_TRANSACTION = """
        connection.execution_options(**{_WRITE: True})
        with connection.begin():
            yield connection
"""
_COMMITTED = """
        connection.execution_options(**{_WRITE: True})
        with connection.begin() as transaction:
            try:
                yield connection
            except Exception:
                transaction.commit()
                raise
"""
SMALL = "sqlite"  # what one engine shows need not be shown on the other
CANARIES: dict[str, tuple[str, str, str, str]] = {
    "rows are not locked": (
        *(' ORDER BY account_no FOR NO KEY UPDATE"', ' ORDER BY account_no"'),
        *("test_concurrency.py", "spend_waits and postgresql"),
    ),
    "the supply is not locked": (
        *(' WHERE token_no = %s FOR NO KEY UPDATE"', ' WHERE token_no = %s"'),
        *("test_concurrency.py", "mint_waits and postgresql"),
    ),
    "numbers are taken without the writers' lock": (
        *("pg_advisory_xact_lock_shared({WRITERS_LOCK})", "{WRITERS_LOCK}"),
        *("test_feed.py", "late"),
    ),
    "one token too much may be spent": (
        *("self.balance + credit < value", "self.balance + credit + 10**18 < value"),
        *("test_posting.py", SMALL),
    ),
    "no balance is checked": (
        *("if self.balance + credit < value", "if False"),
        *("test_posting.py", SMALL),
    ),
    "what is received is lost": (
        *("self.balance += value\n        self.earned += value", "self.earned += value"),
        *("test_posting.py", SMALL),
    ),
    "the last account's update is lost": (
        *("_store.update_accounts(changed)", "_store.update_accounts(changed[:-1])"),
        *("test_posting.py", SMALL),
    ),
    "repeats are not looked up": (
        *("= prior.get(request.nonce)", "= None"),
        *("test_posting.py", SMALL),
    ),
    "a repeat may ask for something else": (
        *("if request.id != prior.id:", "if False:"),
        *("test_posting.py", SMALL),
    ),
    "time may go back": (
        *("max(now, self._latest)\n        waived", "now\n        waived"),
        *("test_posting.py", SMALL),
    ),
    "the maximum is off by one": (
        *("self.total + value > ceiling", "self.total + value > ceiling + 1"),
        *("test_posting.py", SMALL),
    ),
    "a hold may be captured over": (
        *("if taken > found.remaining:", "if False:"),
        *("test_holds.py", SMALL),
    ),
    "a hold may be captured after it expired": (
        *("    if _expired(found, poster):", "    if False:"),
        *("test_holds.py", SMALL),
    ),
    "an entry may be reversed twice": (
        *(
            "    if before is not None:\n        raise ReversalError",
            "    if False:\n        raise ReversalError",
        ),
        *("test_reversal.py", SMALL),
    ),
    "frozen accounts spend": (
        *("if self.row.frozen_at is not None:", "if False:"),
        *("test_limits.py", SMALL),
    ),
    "a refused posting is committed": (
        *(_TRANSACTION, _COMMITTED),
        *("test_verbs.py test_posting.py", SMALL),
    ),
}


def home_of(text: str, package: Path) -> str:
    """Return the one module of the books in which a text stands, once."""
    found = [path for path in package.glob("*.py") for _ in range(path.read_text().count(text))]
    assert 1 == len(found), f"{text!r} stands in {[path.name for path in found]}"
    return f"token_ledger.ledger.{found[0].stem}"


@pytest.mark.parametrize("bug", CANARIES)
def test_the_suite_catches_it(bug: str, project: Path) -> None:
    """With this one bug planted, the suite fails, and not for another reason."""
    old, new, files, chosen = CANARIES[bug]
    module = home_of(old, project / "src" / "token_ledger" / "ledger")
    names = [f"tests/ledger/{name}" for name in files.split()]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.reliability.canary"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-p", "no:xdist", *names, "-k", chosen],
        cwd=project,
        env={
            **os.environ,
            "CANARY": f"{module}|{old}|{new}",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "stands there" not in done.stdout + done.stderr
    assert 1 == done.returncode, done.stdout[-2000:] + done.stderr[-2000:]
    assert "1 failed" in done.stdout
