"""`load`: whole or not at all, the same file twice, refused rows mended, real files, crashes."""

from __future__ import annotations

import csv
import io
import json
import random
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from token_ledger.errors import (
    AmountError,
    AmountRangeError,
    FileFormatError,
    InsufficientBalanceError,
    KeyConflictError,
    MetadataError,
    SelfTransferError,
    SupplyExceededError,
    TextError,
    TimestampError,
    TokenLedgerError,
    UnknownAccountError,
    UsageError,
)
from token_ledger.ledger import Ledger, schema
from token_ledger.load import RUN_SIZE, Loaded, load

HEADER = "timestamp,from_account,to_account,amount,reason,reference_type,reference_id,memo,"
HEADER += "idempotency_key,metadata\n"
DAY = "2024-01-01T00:00:00Z"
MINT = f"{DAY},system,ann,10,award,paper,p1,well done,m1,\n"
MOVE = f'{DAY},ann,bea,4,tip,,,,,"{{""a"": 1}}"\n'
BURN = f"{DAY},bea,system,1,fee,,,,,\n"


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """Yield an empty ledger of a token with two decimals and at most 1,000,000."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("TKN", "Token", 2, max_supply=1_000_000)
        yield ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a test writes its file."""
    return tmp_path / "rows.csv"


def counts(loaded: Loaded) -> tuple[int, int, int, int]:
    return loaded.rows, loaded.posted, loaded.repeated, loaded.refused


def state(ledger: Ledger) -> list[Any]:
    """Return all rows that a load could touch."""
    tables = (schema.accounts, schema.token_ledger, schema.token_accounts, schema.token_supply)
    with ledger.read() as connection:
        return [tuple(r) for table in tables for r in connection.execute(table.select())]


def test_rows_become_entries_in_order(ledger: Ledger, file: Path) -> None:
    """Mint, transfer and burn land in the file's order with their times, texts and metadata."""
    file.write_text(HEADER + MINT + MOVE + BURN)
    loaded = load(ledger, file, create_accounts=True)
    assert ((3, 3, 0, 0), 2, None) == (counts(loaded), loaded.accounts_created, loaded.refused_path)
    assert (600, 300, 900) == (
        ledger.get_balance("ann"),
        ledger.get_balance("bea"),
        ledger.get_total_supply(),
    )
    burn, move = ledger.get_statement("bea").entries
    assert ("fee", "tip", '{"a":1}', 1_704_067_200_000_000) == (
        burn.reason,
        move.reason,
        move.metadata,
        move.timestamp,
    )
    mint = ledger.get_statement("ann").entries[1]
    assert ("m1", "paper", "p1", "well done", 1000) == (
        mint.idempotency_key,
        mint.reference_type,
        mint.reference_id,
        mint.memo,
        mint.supply_after,
    )


def test_same_file_twice_adds_nothing(ledger: Ledger, file: Path) -> None:
    """A second run finds every row again, keyed or not, identical rows among them."""
    file.write_text(HEADER + MINT + MOVE * 2 + BURN)
    load(ledger, file, create_accounts=True)
    before = state(ledger)
    assert (4, 0, 4, 0) == counts(load(ledger, file))
    assert before == state(ledger)
    assert 200 == ledger.get_balance("ann")


def test_another_spelling_of_the_file_adds_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """The same rows as JSON Lines, with other columns and spellings, are the same entries."""
    (tmp_path / "a.csv").write_text(HEADER + MINT + MOVE + BURN)
    load(ledger, tmp_path / "a.csv", create_accounts=True)
    rows = list(csv.DictReader(io.StringIO(HEADER + MINT + MOVE + BURN)))
    lines = []
    for row in rows:
        metadata = json.loads(row.pop("metadata") or "null")
        kept = {k: v for k, v in row.items() if v or k in ("timestamp", "reason")}
        amount = f"{row['amount']}.00"
        lines.append(json.dumps(kept | {"metadata": metadata, "amount": amount}) + "\n")
    (tmp_path / "b.jsonl").write_text("".join(lines))
    assert (3, 0, 3, 0) == counts(load(ledger, tmp_path / "b.jsonl"))


def test_longer_file_adds_what_is_new(ledger: Ledger, file: Path) -> None:
    """A file that grew since its last load adds its new rows alone."""
    file.write_text(HEADER + MINT + MOVE)
    load(ledger, file, create_accounts=True)
    file.write_text(HEADER + MINT + MOVE + BURN + MOVE)
    assert (4, 2, 2, 0) == counts(load(ledger, file))
    assert (200, 700) == (ledger.get_balance("ann"), ledger.get_balance("bea"))


BAD_ROWS: list[tuple[str, type[TokenLedgerError], str, str]] = [
    (f"{DAY},ann,bea,1.005,tip,,,,,\n", AmountError, "amount", "1.005"),
    (f"{DAY},ann,bea,1e2,tip,,,,,\n", AmountError, "amount", "1e2"),
    (f"{DAY},ann,bea,NaN,tip,,,,,\n", AmountError, "amount", "NaN"),
    (f"{DAY},ann,bea,0,tip,,,,,\n", AmountRangeError, "amount", "0"),
    (f"{DAY},ann,bea,-1,tip,,,,,\n", AmountRangeError, "amount", "-1"),
    (f"{DAY},ann,bea,{2**256},tip,,,,,\n", AmountRangeError, "amount", "2**256"),
    (f"{DAY},ann,bea,11,tip,,,,,\n", InsufficientBalanceError, "amount", "'ann' holds 10"),
    (f"{DAY},system,bea,999991,tip,,,,,\n", SupplyExceededError, "amount", "1000000"),
    (f"{DAY},ann,ann,1,tip,,,,,\n", SelfTransferError, "to_account", "'ann'"),
    (f"{DAY},ann, bea,1,tip,,,,,\n", TextError, "to_account", "' bea'"),
    (f"{DAY},ann,bea,1,tip,,,,m1,\n", KeyConflictError, "idempotency_key", "'m1'"),
    ("2024-01-01,ann,bea,1,tip,,,,,\n", TimestampError, "timestamp", "2024-01-01"),
    (",ann,bea,1,tip,,,,,\n", TimestampError, "timestamp", "''"),
    (f"{DAY},ann,bea,1,tip,,,,,{{\n", MetadataError, "metadata", "JSON"),
    (f"{DAY},ann,bea,1,tip,,,,\n", FileFormatError, "", "9 cells"),
    (f'{DAY},ann,bea,1,"tip,,,,,\n', FileFormatError, "", "not CSV"),
    (f"{DAY},ann,bea,1,tip,,,\0,,\n", FileFormatError, "", "U+0000"),
]


@pytest.mark.parametrize(
    ("row", "error", "column", "words"), BAD_ROWS, ids=[f"{r[1].__name__}-{r[3]}" for r in BAD_ROWS]
)
def test_one_bad_row_and_nothing_lands(
    row: str, error: type[TokenLedgerError], column: str, words: str, ledger: Ledger, file: Path
) -> None:
    """The error names file, line, column, value and rule; accounts, too, are as they were."""
    file.write_text(HEADER + MINT + row + MOVE)
    before = state(ledger)
    with pytest.raises(error) as caught:
        load(ledger, file, create_accounts=True)
    where = f"{file}:3: " + (f"{column}: " if column else "")
    assert caught.value.message.startswith(where)
    assert words in str(caught.value)
    assert before == state(ledger)


def test_broken_utf8_is_named_by_line(ledger: Ledger, file: Path) -> None:
    """A byte that is not UTF-8 is refused with its line and place."""
    file.write_bytes((HEADER + MINT + MOVE).encode() + b"x,\xe9,,,,,,,,\n")
    with pytest.raises(FileFormatError, match=r":4: byte 3 of the line is not UTF-8"):
        load(ledger, file, create_accounts=True)


def test_bad_header_names_the_file(ledger: Ledger, file: Path) -> None:
    """Unknown columns are refused with file and line."""
    file.write_text("when,who\n")
    with pytest.raises(FileFormatError, match=r"rows\.csv: line 1: .*'when'"):
        load(ledger, file)


def test_missing_file_is_a_clear_error(ledger: Ledger, tmp_path: Path) -> None:
    """A file that is not there is an error of usage."""
    with pytest.raises(UsageError, match="cannot read"):
        load(ledger, tmp_path / "none.csv")


def test_empty_file_of_rows_loads_nothing(ledger: Ledger, file: Path) -> None:
    """A header alone is a file without rows."""
    file.write_text(HEADER)
    assert (0, 0, 0, 0) == counts(load(ledger, file))


def test_unknown_account_is_named_by_its_first_row(ledger: Ledger, file: Path) -> None:
    """Without create_accounts an unknown id is an error that names the line and creates none."""
    ledger.create_account("ann")
    file.write_text(HEADER + MINT + MOVE)
    with pytest.raises(UnknownAccountError, match=r":3: .*'bea'"):
        load(ledger, file)
    assert 0 == ledger.get_total_supply()


def test_registered_addresses_stay(ledger: Ledger, file: Path) -> None:
    """Accounts that exist are used as they are; only missing ones get derived addresses."""
    address = "0x52908400098527886E0F7030069857D2E4169EE7"
    ledger.create_account("ann", address=address)
    file.write_text(HEADER + MINT + MOVE)
    assert 1 == load(ledger, file, create_accounts=True).accounts_created
    assert not ledger.get_account("ann").derived
    assert ledger.get_account("bea").derived


def test_source_may_be_a_stream(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open file and standard input are read once, and loaded like a file."""
    data = (HEADER + MINT + MOVE).encode()
    assert (2, 2, 0, 0) == counts(load(ledger, io.BytesIO(data), create_accounts=True))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert (2, 0, 2, 0) == counts(load(ledger, "-"))
    with pytest.raises(UsageError, match="refused rows"):
        load(ledger, io.BytesIO(data), keep_going=True)


def test_rows_over_several_runs(ledger: Ledger, file: Path) -> None:
    """Repeats, conflicts and balances are right across the runs in which rows are posted."""
    chance = random.Random(7)
    names = [f"n{i}" for i in range(20)]
    held = dict.fromkeys(names, 0)
    lines = [f"{DAY},system,{name},{i},award,,,,,\n" for i, name in enumerate(names, 1)]
    held = {name: i for i, name in enumerate(names, 1)}
    while len(lines) < 2 * RUN_SIZE + 10:
        payer, payee = chance.sample(names, 2)
        if held[payer]:
            held[payer] -= 1
            held[payee] += 1
            lines.append(f"{DAY},{payer},{payee},1,tip,,,,,\n")
    file.write_text(HEADER + "".join(lines) + lines[0].replace(",,,,,", ",,,,same,") * 2)
    loaded = load(ledger, file, create_accounts=True)
    assert (len(lines) + 2, len(lines) + 1, 1, 0) == counts(loaded)
    held[names[0]] += 1
    assert held == {name: ledger.get_balance(name) // 100 for name in names}
    assert (0, len(lines) + 2) == counts(load(ledger, file))[1:3]
    file.write_text(HEADER + "".join(lines) + f"{DAY},{names[0]},{names[1]},1,tip,,,,same,\n")
    with pytest.raises(KeyConflictError, match=f":{len(lines) + 2}: "):
        load(ledger, file)


def test_progress_is_told(ledger: Ledger, file: Path) -> None:
    """Both passes tell how far they are; the second knows the total."""
    file.write_text(HEADER + MINT + MOVE)
    told: list[tuple[str, int, int | None]] = []
    load(ledger, file, create_accounts=True, progress=lambda *step: told.append(step))
    assert [("read", 2, None), ("post", 2, 2)] == told


@pytest.mark.parametrize(
    ("name", "rows", "error", "where", "refused"),
    [
        ("makerdao_dai_payroll_2020-2022.csv", 12_428, None, "", 0),
        ("makerdao_messy_with_zero_rows.csv", 15_336, AmountRangeError, ":101: amount", 2_908),
        ("hospitaltapes_with_self_transfer.csv", 1_153, SelfTransferError, ":535: to_account", 3),
    ],
)
def test_real_files(
    name: str,
    rows: int,
    error: type[TokenLedgerError] | None,
    where: str,
    refused: int,
    database_url: str,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    """Real ledgers: a clean one lands whole, messy ones are refused, or their good rows land."""
    path = shared_data / "ledgers" / name
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("DAI", "Dai", 18)
        if error is not None:
            with pytest.raises(error, match=where):
                load(ledger, path, create_accounts=True)
            assert (0, []) == (ledger.get_total_supply(), ledger.accounts()[0])
        place = tmp_path / "refused.csv"
        loaded = load(ledger, path, create_accounts=True, keep_going=True, refused_path=place)
        assert (rows, rows - refused, 0, refused) == counts(loaded)
        if name.startswith("makerdao"):
            assert "373908.08" == ledger.get_supply().amount
        assert (0, rows - refused) == counts(
            load(ledger, path, keep_going=True, refused_path=place)
        )[1:3]


KILLED = """
import os, signal, sys
from token_ledger.ledger import Ledger
from token_ledger.load import load

def stop(stage, done, total):
    if stage == sys.argv[3] and done >= int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

with Ledger.open(sys.argv[1]) as ledger:
    load(ledger, sys.argv[2], create_accounts=True, progress=stop)
"""


@pytest.mark.parametrize("stage", ["read", "post"])
def test_killed_load_leaves_nothing_and_is_run_again(
    stage: str, ledger: Ledger, database_url: str, file: Path
) -> None:
    """A process killed in the middle leaves the ledger as it was; the next run does it all."""
    rows = RUN_SIZE + 50
    file.write_text(HEADER + "".join(f"{DAY},system,n{i % 9},1,award,,,,,\n" for i in range(rows)))
    before = state(ledger)
    words = [sys.executable, "-c", KILLED, database_url, str(file), stage, str(RUN_SIZE)]
    ended = subprocess.run(words, check=False, timeout=120)
    assert -signal.SIGKILL == ended.returncode
    assert before == state(ledger)
    assert (rows, rows, 0, 0) == counts(load(ledger, file, create_accounts=True))


def test_memory_does_not_grow_with_the_rows(sqlite_url: str) -> None:
    """Four times the rows take nearly the same memory: runs are spooled, not kept."""

    def lines(rows: int) -> Iterator[bytes]:
        yield HEADER.encode()
        for i in range(rows):
            yield f"{DAY},system,n{i % 9},1,award,paper,p{i},{'thanks ' * 20},k{i},\n".encode()

    class Stream(io.RawIOBase):
        """Rows that are nowhere in whole."""

        def __init__(self, rows: int) -> None:
            self._lines = lines(rows)

        def readline(self, _limit: int | None = -1) -> bytes:
            return next(self._lines, b"")

    peaks = []
    with Ledger.create(sqlite_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        for rows in (2 * RUN_SIZE, 8 * RUN_SIZE):
            tracemalloc.start()
            loaded = load(ledger, Stream(rows), create_accounts=True)  # type: ignore[arg-type]
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert rows == loaded.rows
    assert peaks[1] < 1.5 * peaks[0]
