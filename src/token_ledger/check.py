"""Check: every invariant of the whole database proved from its rows, on one snapshot.

Schema and files; ids, nonces and refs; order, balances and supply replayed; cached figures; holds,
reversals and requests; batches rebuilt and signatures recovered. Changes nothing, asks no node, and
holds nobody up. Findings name entries, batches and addresses, never account ids; the first finding
of a level is its first bad row. What a chain says is the work of `reconcile`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from token_ledger.core.counting import counted
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.types import Finding
from token_ledger.core.verification import Check
from token_ledger.ledger import (
    Connection,
    Ledger,
    StoredToken,
    audit,
    audit_batches,
    audit_debts,
    audit_links,
    audit_schema,
    cached,
    recalculation,
)

FINDINGS_MAX = 10_000
"""So many findings are kept; further ones are counted, so that memory stays bounded."""


@dataclass(slots=True)
class CheckResult:
    """What was checked, level by level, and what is wrong."""

    checks: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    findings_total: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return self.findings_total == 0

    def level(self, name: str, found: Iterable[Finding]) -> None:
        """Run one level to its end; rows that cannot be read at all are a finding as well."""
        before = self.findings_total
        try:
            for finding in found:
                self.findings_total += 1
                if len(self.findings) < FINDINGS_MAX:
                    self.findings.append(finding)
        except (ValueError, ArithmeticError) as error:
            self.findings_total += 1
            said = f"{name}: a row cannot be read: {type(error).__name__}"
            self.findings.append(Finding("row_unreadable", said, {"level": name}))
        wrong = self.findings_total - before
        status = Check(name, "failed", counted(wrong, "finding")) if wrong else Check(name, "ok")
        self.checks.append(status)

    def describe(self, detail: str) -> None:
        """Say over how much the last level went."""
        last = self.checks[-1]
        self.checks[-1] = Check(last.name, last.status, f"{detail} {last.detail}".strip())

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "clean": self.clean,
            "checks": [
                {"name": check.name, "status": check.status, "detail": check.detail}
                for check in self.checks
            ],
            "findings": [finding.to_json() for finding in self.findings],
            "findings_total": self.findings_total,
        }


def check(
    ledger: Ledger,
    *,
    contract_signers: Collection[bytes] = (),
    progress: Progress = no_progress,
) -> CheckResult:
    """Return what is wrong with a ledger's database, of all its tokens.

    `contract_signers`: addresses of Safes and the like, whose signatures only a chain can judge.
    Memory grows with accounts. Raises DatabaseError where the database cannot be read.
    """
    result = CheckResult()
    with ledger.read() as connection:
        if audit_schema.may_check_schema(connection):
            result.level("schema", audit_schema.check_schema(ledger.engine))
        else:
            why = "the role may not make a schema to compare with: run it as the owner"
            result.checks.append(Check("schema", "not checked", why))
        progress("integrity", 0, None)
        result.level("integrity", audit_schema.check_integrity(connection))
        result.level("sequences", audit_links.check_sequences(connection))
        found = audit_links.check_accounts(
            connection, secret=ledger.secret, operator=ledger.operator
        )
        result.level("accounts", found)
        tokens = ledger.tokens()
        addresses = audit.read_addresses(connection)
        result.level("tokens", audit.strays(connection, tokens))
        for token in tokens:
            book = _Book(result, connection, token, progress)
            book.prefix = f"{token.symbol}: " if len(tokens) > 1 else ""
            book.entries(ledger.secret, addresses)
            book.links(ledger.secret)
            book.sealed(contract_signers)
    return result


class _Book:
    """The levels of one token."""

    prefix = ""

    def __init__(
        self, result: CheckResult, connection: Connection, token: StoredToken, progress: Progress
    ) -> None:
        self._result, self._connection = result, connection
        self._token, self._progress = token, progress

    def entries(self, secret: bytes, addresses: dict[int, bytes]) -> None:
        walk = audit.EntryWalk(
            self._connection,
            self._token,
            secret=secret,
            addresses=addresses,
            progress=self._progress,
        )
        self._level("entries", walk.findings())
        self._result.describe(counted(walk.count, "entry"))

    def links(self, secret: bytes) -> None:
        connection, token = self._connection, self._token
        self._level("uniqueness", audit.repeated(connection, token))
        self._level("sum zero", audit_links.check_token(connection, token))
        self._level("figures", self._figures())
        self._level("holds", audit_links.check_holds(connection, token))
        self._level("reversals", audit_links.check_reversals(connection, token))
        self._level("debts", audit_debts.check_debts(connection, token))
        self._level("awards", audit_links.check_awards(connection, token))
        self._level("requests", audit_links.check_requests(connection, token, secret))

    def sealed(self, contract_signers: Collection[bytes]) -> None:
        connection, token, result = self._connection, self._token, self._result
        batches = audit_batches.BatchWalk(connection, token, self._progress)
        self._level("batches", batches.findings())
        result.describe(counted(batches.count, "batch"))
        signed = audit_batches.SignatureWalk(connection, token, contract_signers)
        self._level("signatures", signed.findings())
        unchecked = f", {signed.unchecked} of contracts not checked" if signed.unchecked else ""
        result.describe(f"{counted(signed.count, 'signature')}{unchecked}")

    def _figures(self) -> Iterator[Finding]:
        done = 0
        for cache in cached.CACHES:
            for row in cache.rows(self._connection, self._token, None):
                done += 1
                self._progress("figures", done, None)
                yield from recalculation.findings(self._token, cache, row)

    def _level(self, name: str, found: Iterable[Finding]) -> None:
        self._result.level(self.prefix + name, found)
