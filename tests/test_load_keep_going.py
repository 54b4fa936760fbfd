"""Loading on: the good rows land, the refused ones wait in a file that loads once mended."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from tests import test_load
from tests.test_load import BAD_ROWS, BURN, DAY, HEADER, MINT, MOVE, counts, state

from token_ledger.errors import (
    AmountError,
    HoldError,
    InsufficientBalanceError,
    UsageError,
)
from token_ledger.ledger import Ledger
from token_ledger.load import load

ledger, file = test_load.ledger, test_load.file  # fixtures


def test_keep_going_lands_the_good_rows(ledger: Ledger, file: Path) -> None:
    """Every kind of bad row is set aside in the file's order, with reason; the good ones land."""
    rows = [MINT, *(row for row, *_ in BAD_ROWS), MOVE, BURN]
    file.write_text(HEADER + "".join(rows))
    loaded = load(ledger, file, create_accounts=True, keep_going=True)
    assert (len(rows), 3, 0, len(BAD_ROWS)) == counts(loaded)
    assert (600, 300) == (ledger.get_balance("ann"), ledger.get_balance("bea"))
    assert file.with_name("rows.refused.csv") == loaded.refused_path
    found = list(csv.reader(io.StringIO(loaded.refused_path.read_text())))
    assert ["refused", "refused_key", *HEADER.strip().split(",")] == found[0]
    for i, ((_, _, column, words), refused) in enumerate(zip(BAD_ROWS, found[1:], strict=True)):
        assert refused[0].startswith(f"line {i + 3}: {column}")
        assert words in refused[0]


def test_keep_going_twice_changes_nothing(ledger: Ledger, file: Path) -> None:
    """The same file again finds its good rows landed, and refuses the same rows the same way."""
    file.write_text(HEADER + MINT + BAD_ROWS[0][0] + MOVE)
    first = load(ledger, file, create_accounts=True, keep_going=True)
    text, before = first.refused_path.read_text(), state(ledger)
    assert (3, 0, 2, 1) == counts(load(ledger, file, keep_going=True))
    assert (text, before) == (first.refused_path.read_text(), state(ledger))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_refused_rows_load_once_mended(form: str, ledger: Ledger, tmp_path: Path) -> None:
    """Mended, the refused file lands, once; a mended row that equals a landed one is another."""
    good = {"timestamp": DAY, "from_account": "ann", "to_account": "bea", "amount": "1"}
    rows = [
        {"timestamp": DAY, "from_account": "system", "to_account": "ann", "amount": "3"},
        good,
        good | {"amount": "1O"},
        good | {"amount": "5"},
    ]
    rows = [row | {"reason": "r"} for row in rows]
    path = tmp_path / f"rows.{form}"
    if form == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = load(ledger, path, create_accounts=True, keep_going=True)
    assert (4, 2, 0, 2) == counts(loaded)
    assert loaded.refused_path is not None
    with pytest.raises(AmountError):
        load(ledger, loaded.refused_path)
    mended = loaded.refused_path.read_text().replace("1O", "1", 2).replace("refused: 1", "x")
    mended = mended.replace(",5,", ",1,").replace('"amount": "5"', '"amount": "1"')
    loaded.refused_path.write_text(mended)
    assert (2, 2, 0, 0) == counts(load(ledger, loaded.refused_path))
    assert (2, 0, 2, 0) == counts(load(ledger, loaded.refused_path))
    assert (0, 300) == (ledger.get_balance("ann"), ledger.get_balance("bea"))


def test_refused_file_that_is_being_mended_is_not_overwritten(ledger: Ledger, file: Path) -> None:
    """A refused file with other contents stops the load before anything lands."""
    file.write_text(HEADER + MINT + BAD_ROWS[0][0])
    place = file.with_name("rows.refused.csv")
    place.write_text("my work")
    with pytest.raises(UsageError, match="holds other rows"):
        load(ledger, file, create_accounts=True, keep_going=True)
    assert ("my work", 0) == (place.read_text(), ledger.get_total_supply())
    load(ledger, file, create_accounts=True, keep_going=True, refused_path=file.parent / "r.csv")
    names = {path.name for path in file.parent.iterdir()}
    assert {"rows.csv", "rows.refused.csv", "r.csv"} <= names
    assert not [name for name in names if name.startswith(".")]


def test_refused_place_that_cannot_be_written(ledger: Ledger, file: Path) -> None:
    """A refused file in no directory is a clear error, and nothing lands."""
    file.write_text(HEADER + MINT)
    with pytest.raises(UsageError, match="cannot write"):
        load(ledger, file, keep_going=True, refused_path=file.parent / "none" / "r.csv")


def test_keep_going_without_accounts_refuses_their_rows(ledger: Ledger, file: Path) -> None:
    """Rows of unknown accounts are set aside where accounts may not be made."""
    ledger.create_account("ann")
    file.write_text(HEADER + MINT + MOVE + MOVE.replace("ann,bea", "cid,ann"))
    loaded = load(ledger, file, keep_going=True)
    assert (3, 1, 0, 2) == counts(loaded)
    text = loaded.refused_path.read_text()
    reasons = [row["refused"] for row in csv.DictReader(io.StringIO(text))]
    assert "line 3: to_account: no account 'bea'" in reasons[0]
    assert "line 4: from_account: no account 'cid'" in reasons[1]


@pytest.mark.parametrize("side", ["from_account", "to_account"])
def test_a_row_of_an_escrow_account_is_refused_as_any(
    ledger: Ledger, file: Path, side: str
) -> None:
    """It is set aside with its line and column, alone; without --keep-going it ends the load."""
    ledger.create_account("ann", initial_balance=10)
    ledger.hold("ann", 2)
    sides = ("escrow:ann", "ann") if side == "from_account" else ("ann", "escrow:ann")
    row = f"{DAY},{sides[0]},{sides[1]},1,steal,,,,,\n"
    file.write_text(HEADER + MOVE + row + MINT)
    before = state(ledger)
    with pytest.raises(HoldError, match=f"rows.csv:3: {side}: an escrow account moves by"):
        load(ledger, file, create_accounts=True)
    assert before == state(ledger)
    file.write_text(HEADER + f"{DAY},ann,system,99,early,,,,,\n" + row)
    with pytest.raises(InsufficientBalanceError, match=r"rows.csv:2: amount"):
        load(ledger, file)  # the first refused row, though the other is known before it
    file.write_text(HEADER + MOVE + row + MINT)
    loaded = load(ledger, file, create_accounts=True, keep_going=True)
    assert (3, 2, 0, 1) == counts(loaded)
    (refused,) = csv.DictReader(io.StringIO(loaded.refused_path.read_text()))
    assert refused["refused"].startswith(f"line 3: {side}: an escrow account moves by")
    assert (200, 1) == (ledger.get_account("ann").total_staked, len(ledger.holds()))
