"""Posts, saying what was acknowledged, until it kills itself (SIGKILL) around one COMMIT."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal, NoReturn

from sqlalchemy import Engine, event
from tests.reliability.forking import end_with_parent

from token_ledger.errors import DatabaseError
from token_ledger.ledger import Ledger, Posted

Kind = Literal["single", "list", "capture", "draw"]
Moment = Literal["before", "within", "sent", "after"]
KINDS: tuple[Kind, ...] = ("single", "list", "capture", "draw")
LIST = 3
STEP = "0.000001"


@dataclass(frozen=True)
class Run:
    """What a process posts (`count` requests that are answered, then the fatal one), and its end.

    `before` COMMIT is given to the driver; `within` twice the time that one takes, at an instant
    `chance` of it; `sent`: PostgreSQL's server has it, nobody waits for the answer; `after` it was
    done, before anybody is answered.
    """

    name: str
    kind: Kind
    moment: Moment
    count: int
    chance: float
    hold: str = ""


def keys(run: Run, number: int) -> list[str]:
    """Return the keys of a run's request, which are those of its entries."""
    return [f"{run.name}:{number}:{n}" for n in range(LIST if run.kind == "list" else 1)]


def ask(ledger: Ledger, run: Run, number: int) -> list[Posted]:
    """Post a request of a run, or find out what became of it."""
    words = {"idempotency_key": keys(run, number)[0]}
    if run.kind == "capture":
        return [ledger.capture(run.hold, STEP, to="bob", **words)]
    payer = "debtor" if run.kind == "draw" else "alice"
    records = [
        ledger.record(payer, "bob", STEP, reason="play", idempotency_key=key)
        for key in keys(run, number)
    ]
    return ledger.post_many(records)


class _Death:
    """Stands between SQLAlchemy and the driver's COMMIT, and does not let one of them through."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self.near = False
        self._run, self._commit = run, engine.dialect.do_commit
        self._writes = False
        self._took: list[float] = []
        event.listen(engine, "commit", self._begin)
        engine.dialect.do_commit = self._do  # type: ignore[method-assign]

    def _begin(self, connection: Any) -> None:
        self._writes = connection.get_execution_options().get("token_ledger_write", False)

    def _do(self, driver: Any) -> None:
        began, fatal = time.perf_counter(), self.near and self._writes
        if fatal and self._run.moment == "before":
            die()
        if fatal and self._run.moment == "sent":
            driver.driver_connection.pgconn.send_query(b"COMMIT")
            driver.driver_connection.pgconn.flush()
            die()
        if fatal and self._run.moment == "within":
            after = 2 * statistics.median(self._took) * self._run.chance
            threading.Thread(target=lambda: (time.sleep(after), die()), daemon=True).start()
        self._commit(driver)
        if fatal and self._run.moment == "after":
            die()
        if self._writes:
            self._took.append(time.perf_counter() - began)


def die() -> NoReturn:
    """End at once, as by the kernel's hand."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def main(url: str, secret_file: str, run: Run, say: Connection) -> None:
    """Post what the run asks for and say every key and id that was acknowledged; then die."""
    end_with_parent()
    ledger = Ledger.open(url, secret_file=secret_file)
    _tell_server(ledger.engine, say)
    death = _Death(ledger.engine, run)
    fast = ledger.coalesced()
    for number in range(run.count + 1):
        death.near = number == run.count
        say.send([(p.idempotency_key, p.id) for p in ask(fast, run, number)])
    time.sleep(60)  # the last instants of `within` come after the answer


def forever(url: str, secret_file: str, name: str, say: Connection) -> None:
    """Post until the database is gone, or this process: coalesced singly and in lists, by turns."""
    end_with_parent()
    runs: tuple[Kind, ...] = ("single", "list")
    with (
        contextlib.suppress(DatabaseError),
        Ledger.open(url, secret_file=secret_file) as ledger,
        ledger.coalesced() as fast,
    ):
        for number in range(1_000_000):
            run = Run(name, runs[number % 2], "after", 0, 0)
            say.send([(p.idempotency_key, p.id) for p in ask(fast, run, number)])


def _tell_server(engine: Engine, say: Connection) -> None:
    """Say which of PostgreSQL's processes serve this one: they end a moment after it."""
    if engine.dialect.name == "sqlite":
        return
    engine.dispose()  # what was opened before is not known

    def connected(driver: Any, _record: Callable[..., Any]) -> None:
        say.send(driver.info.backend_pid)

    event.listen(engine, "connect", connected)
