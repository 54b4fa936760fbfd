"""`load`: a file of rows, CSV or JSON Lines, becomes entries; whole, or not at all.

Two passes. The first reads and checks every row and writes it to a spool on disk, in its inner
form; so stdin is read once, and memory grows with the accounts of a file, not with its rows. The
second locks those accounts and posts, in one transaction: a crash leaves nothing behind, and the
same file loaded again adds nothing (`core.loadrow`: the key of a row without one).

With `keep_going` the good rows land and the others go to a file of the same format, in their
order, behind two columns: `refused` says why, and is ignored when that file, mended, is loaded;
`refused_key` is the idempotency key of a row that has none of its own. Rows refused for what they
say are written in the normal spelling; rows that could not even be read, as they were.
"""

from __future__ import annotations

import marshal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self, cast

from token_ledger.core.loadrow import BadRowKeys, ContentKeys, LoadRow, RowParser
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.rowfile import LINE_BYTES_MAX, BadRow, Cells, RefusedRows, RowReader
from token_ledger.core.types import ESCROW_PREFIX
from token_ledger.errors import (
    InputError,
    KeyConflictError,
    RuleError,
    TokenLedgerError,
    UnknownAccountError,
    UsageError,
)
from token_ledger.ledger import Connection, Ledger
from token_ledger.ledger.accounts import Known, create_missing, find_known
from token_ledger.ledger.poster import Poster
from token_ledger.ledger.requests import Request, Requests, check_key
from token_ledger.refused import RefusedFile

RUN_SIZE = 4_000
"""Rows that are spooled, hashed and inserted together."""

_Refusal = tuple[int, Cells, str, str, bool]
"""line, cells, why, the key that it has from an earlier load, and whether the cells are in the
order of FIELDS (else as they were)."""
REFUSAL_SIZE = 5


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: rows read, entries made, rows found in the ledger already, rows refused.

    `refused_path` is where those are, None when there are none.
    """

    rows: int
    posted: int
    repeated: int
    refused: int
    accounts_created: int
    refused_path: Path | None


def load(
    ledger: Ledger,
    source: str | Path | BinaryIO,
    *,
    create_accounts: bool = False,
    keep_going: bool = False,
    refused_path: str | Path | None = None,
    progress: Progress = no_progress,
) -> Loaded:
    """Post every row of a file, in its order, in one transaction.

    `source`: a path, `-` for standard input, or an open binary file. Unknown accounts are an
    error unless `create_accounts`, which gives them derived addresses. Without `keep_going` the
    first refused row is raised, with file, line, column, value and rule, and nothing has changed;
    with it, refused rows go to `refused_path` (by default the source's name and `.refused`), which
    must not hold anything else.
    """
    if refused_path is not None and not keep_going:
        raise UsageError("a place for refused rows, and none are let by", hint="add --keep-going")
    with ExitStack() as stack:
        name, file = _open(stack, source)
        loader = _Loader(ledger, name, create_accounts=create_accounts, keep_going=keep_going)
        if keep_going:
            loader.refused_path = Path(refused_path or _default_refused_path(source, name))
        stack.enter_context(loader)
        loader.read(file, progress)
        return loader.post(progress)


def _open(stack: ExitStack, source: str | Path | BinaryIO) -> tuple[str, BinaryIO]:
    if not isinstance(source, str | Path):
        return str(getattr(source, "name", "input")), source
    if source == "-":
        return "stdin", sys.stdin.buffer
    try:
        return str(source), stack.enter_context(Path(source).open("rb"))
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}", hint="check it") from None


def _default_refused_path(source: object, name: str) -> str:
    if isinstance(source, str | Path) and source != "-":
        path = Path(name)
        return str(path.with_name(f"{path.stem}.refused{path.suffix}"))
    raise UsageError("where do refused rows go?", hint="name it with --refused FILE")


def _binary_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines, and of one that is too long only as much as shows it."""
    while raw := file.readline(LINE_BYTES_MAX + 1):
        yield raw
        part = raw
        while len(part) > LINE_BYTES_MAX and not part.endswith(b"\n"):
            part = file.readline(LINE_BYTES_MAX + 1)


@dataclass(slots=True)
class _Run:
    """Rows that are posted together, as requests, and those that were refused before."""

    rows: list[LoadRow] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    refusals: list[tuple[int, Cells, str, str, bool]] = field(default_factory=list)
    error: TokenLedgerError | None = None
    """Of the row that ends the load, after these."""


class _Loader:
    """One load: the spool between its passes, and what it counts."""

    def __init__(
        self, ledger: Ledger, name: str, *, create_accounts: bool, keep_going: bool
    ) -> None:
        self._ledger = ledger
        self._name = name
        self._create_accounts = create_accounts
        self._keep_going = keep_going
        self.refused_path: Path | None = None
        self._parser = RowParser(decimals=ledger.token.decimals)
        self._rows = 0
        self._columns: tuple[str, ...] = ()
        self._is_json = False

    def __enter__(self) -> Self:
        self._spool: IO[bytes] = tempfile.TemporaryFile(prefix="token-ledger-load-")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._spool.close()

    # --- the first pass -------------------------------------------------------------------

    def read(self, file: BinaryIO, progress: Progress) -> None:
        """Check every row and spool it."""
        reader = self._open_reader(file)
        self._columns, self._is_json = reader.columns, reader.is_json
        parser, parse = self._parser, self._parser.parse
        run: list[LoadRow | _Refusal] = []
        for line, cells in reader:
            try:
                if isinstance(cells, BadRow):
                    parser.column = ""
                    raise cells.error
                run.append(parse(line, cells))
            except (InputError, RuleError) as error:
                if not self._keep_going:
                    raise self._located(error, line, parser.column) from error
                why = _why(error, line, parser.column)
                if isinstance(cells, BadRow):
                    run.append((line, cells.cells, why, cells.key, False))
                else:
                    run.append((line, cells, why, cells[-1], True))
            if len(run) == RUN_SIZE:
                self._flush(run, progress)
        self._flush(run, progress)

    def _open_reader(self, file: BinaryIO) -> RowReader:
        try:
            return RowReader(_binary_lines(file))
        except InputError as error:
            raise type(error)(f"{self._name}: {error.message}", hint=error.hint) from error

    def _flush(self, run: list[LoadRow | _Refusal], progress: Progress) -> None:
        if run:
            frame = marshal.dumps(run)
            self._spool.write(len(frame).to_bytes(8, "big") + frame)
            self._rows += len(run)
            progress("read", self._rows, None)
            run.clear()

    def _runs(self) -> Iterator[list[LoadRow | _Refusal]]:
        self._spool.seek(0)
        left = self._rows
        while left:
            # Our own bytes, in a file without a name that nobody else can open.
            size = int.from_bytes(self._spool.read(8), "big")
            run = marshal.loads(self._spool.read(size))  # noqa: S302
            left -= len(run)
            yield run

    def _located(self, error: TokenLedgerError, line: int, column: str) -> TokenLedgerError:
        where = f"{self._name}:{line}: " + (f"{column}: " if column else "")
        return type(error)(where + error.message, hint=error.hint)

    # --- the second pass ------------------------------------------------------------------

    def post(self, progress: Progress) -> Loaded:
        """Post what was spooled, in one transaction, run again after a deadlock."""
        rows = RefusedRows(self._columns, is_json=self._is_json)
        with RefusedFile(self.refused_path, rows) as refused:
            loaded = self._ledger.run(lambda connection: self._post(connection, refused, progress))
            if loaded.refused:
                refused.publish()
        return loaded

    def _post(self, connection: Connection, refused: RefusedFile, progress: Progress) -> Loaded:
        refused.restart()
        known, created = self._accounts(connection)
        names = self._parser.names
        poster = Poster(connection, self._ledger.context, self._ledger.token)
        poster.lock(
            {account.number: names[i] for i, account in enumerate(known) if account},
            supply=self._parser.mints_or_burns,
            many=True,
        )
        states = self._post_runs(poster, self._prepared(known), refused, progress)
        poster.close()
        if states[None]:
            refused.check()
        return Loaded(
            rows=self._rows,
            posted=states[False],
            repeated=states[True],
            refused=states[None],
            accounts_created=created,
            refused_path=self.refused_path if states[None] else None,
        )

    def _post_runs(
        self, poster: Poster, runs: Iterator[_Run], refused: RefusedFile, progress: Progress
    ) -> Counter[bool | None]:
        """Post the runs; return how many rows are new, repeated, and refused (None)."""
        done, states = 0, Counter[bool | None]()
        with ThreadPoolExecutor(max_workers=1) as pool:
            following = pool.submit(next, runs, None)
            while (run := following.result()) is not None:
                for line, cells, why, key, readable in run.refusals:
                    refused.add(line, cells, why=why, key=key, readable=readable)
                outcomes = poster.enter(run.requests, refuse=self._refuser(run, refused))
                if run.error is not None:
                    raise run.error
                following = pool.submit(next, runs, None)  # hashes, while the database writes
                poster.write()
                states.update(None if o is None else o.repeated for o in outcomes)
                states[None] += len(run.refusals)
                refused.end_run()
                done += len(run.refusals) + len(run.rows)
                progress("post", done, self._rows)
        return states

    def _accounts(self, connection: Connection) -> tuple[list[Known | None], int]:
        """Return the accounts of the parser's names, and how many were made for them."""
        names = self._parser.names
        known = find_known(connection, names)
        missing = [i for i, name in enumerate(names) if name not in known]
        # Escrow accounts are the ledger's own: no file makes one.
        new = [i for i in missing if not names[i].startswith(ESCROW_PREFIX)]
        if not self._create_accounts:
            new = []
        if len(new) < len(missing) and not self._keep_going:
            first = next(i for i in missing if i not in new)
            raise self._located(_unknown(names[first]), self._parser.first_lines[first], "account")
        made = create_missing(connection, self._ledger.context, [names[i] for i in new])
        return [known.get(name) or made.get(name) for name in names], len(new)

    def _prepared(self, known: list[Known | None]) -> Iterator[_Run]:
        """Yield the spooled rows as requests, with their keys and hashes. Asks no database."""
        make = Requests(self._ledger.context, self._ledger.token).make_raw
        keys, bad_keys = ContentKeys(self._parser.fingerprints), BadRowKeys()
        names = self._parser.names
        for items in self._runs():
            run = _Run()
            for item in items:
                if len(item) == REFUSAL_SIZE:
                    line, cells, why, key, readable = cast(_Refusal, item)
                    run.refusals.append((line, cells, why, key or bad_keys.key(cells), readable))
                    continue
                row = cast(LoadRow, item)
                key = row[10] or keys.key(cast(bytes, row[11]))
                payer, payee = known[row[2]], known[row[3]]
                if payer is None or payee is None:
                    error = _unknown(names[row[2] if payer is None else row[3]])
                    why = _why(error, row[0], "from_account" if payer is None else "to_account")
                    run.refusals.append((row[0], self._parser.cells(row), why, key, True))
                    continue
                try:
                    check_key(key, payer=names[row[2]], payee=names[row[3]])
                    request = make(
                        payer, payee, value=row[4], timestamp=row[1], texts=row[5:10], key=key
                    )
                except RuleError as error:  # an escrow account or a key, which no file takes
                    column = "from_account" if payer.escrow_of is not None else "to_account"
                    if isinstance(error, KeyConflictError):
                        column = "idempotency_key"
                    if not self._keep_going:
                        run.error = self._located(error, row[0], column)
                        break
                    why = _why(error, row[0], column)
                    run.refusals.append((row[0], self._parser.cells(row), why, key, True))
                    continue
                run.rows.append(row)
                run.requests.append(request)
            yield run
            if run.error is not None:
                return

    def _refuser(self, run: _Run, refused: RefusedFile) -> Callable[[int, RuleError], None]:
        def refuse(index: int, error: RuleError) -> None:
            row = run.rows[index]
            column = "idempotency_key" if isinstance(error, KeyConflictError) else "amount"
            if not self._keep_going:
                raise self._located(error, row[0], column) from error
            why = _why(error, row[0], column)
            cells, key = self._parser.cells(row), run.requests[index].key
            refused.add(row[0], cells, why=why, key=key, readable=True)

        return refuse


def _unknown(name: str) -> UnknownAccountError:
    if name.startswith(ESCROW_PREFIX):
        return UnknownAccountError(f"no account {name!r}", hint="only a hold makes such an account")
    return UnknownAccountError(f"no account {name!r}", hint="create it, or use --create-accounts")


def _why(error: TokenLedgerError, line: int, column: str) -> str:
    return f"line {line}: " + (f"{column}: " if column else "") + str(error)
