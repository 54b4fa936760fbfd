"""Exporting: the same bytes every time, only what is new, nothing personal, nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from tests import books

from token_ledger.core.files import read_manifest
from token_ledger.core.strict import decode, encode
from token_ledger.errors import DatabaseError, FileFormatError, UnavailableError
from token_ledger.export import TEMPORARY_PREFIX, export
from token_ledger.ledger import Ledger
from token_ledger.seal import seal
from token_ledger.sign import sign

DUMPS = Path(__file__).parent / "dumps"


def contents(root: Path) -> dict[str, bytes]:
    """Return every file below a directory with its bytes."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def sealed_ledger(url: str, tmp_path: Path, *, ticking: bool = True) -> Ledger:
    """Return a ledger with several sealed and signed batches."""
    ledger = books.create(url, tmp_path, ticking=ticking)
    books.fill(ledger, 60)
    seal(ledger, gas_max=200_000)
    sign(ledger, books.operator())
    return ledger


def test_both_engines_export_the_same_bytes(
    sqlite_url: str, postgres_url: str, tmp_path: Path
) -> None:
    """The same records under the same secret and clock give the same files on both engines."""
    for name, url in (("sqlite", sqlite_url), ("postgresql", postgres_url)):
        with sealed_ledger(url, tmp_path, ticking=False) as ledger:
            export(ledger, tmp_path / name)
    exported = contents(tmp_path / "sqlite")
    assert len(exported) > 3
    assert exported == contents(tmp_path / "postgresql")


def test_a_second_export_writes_nothing(database_url: str, tmp_path: Path) -> None:
    """An unchanged ledger leaves the same bytes behind and writes no file."""
    with sealed_ledger(database_url, tmp_path) as ledger:
        first = export(ledger, tmp_path / "out")
        before = contents(tmp_path / "out")
        second = export(ledger, tmp_path / "out")
        assert first.batches == first.written > 1
        assert 0 == second.written
        assert before == contents(tmp_path / "out")
        assert set(before) == {
            "manifest.json",
            *(f"batches/{n:08d}.json" for n in range(1, first.batches + 1)),
        }


def test_new_batches_and_signatures_are_added(database_url: str, tmp_path: Path) -> None:
    """A later export writes the new batch, and an old one again only when it gained a signature."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 10)
        seal(ledger)
        export(ledger, tmp_path / "out")
        unsigned = contents(tmp_path / "out")
        sign(ledger, books.operator())
        assert 1 == export(ledger, tmp_path / "out").written
        ledger.transfer("alice", "bob", 1, reason="late")
        seal(ledger)
        assert 1 == export(ledger, tmp_path / "out").written
        manifest = read_manifest(decode((tmp_path / "out" / "manifest.json").read_bytes()))
        assert 2 == manifest.head_number
        name = "batches/00000001.json"
        old, new = decode(unsigned[name]), decode(contents(tmp_path / "out")[name])
        assert old["signature"] is None
        assert new["signature"] is not None
        assert {**new, "signature": None} == old


def test_nothing_personal_is_exported(sqlite_url: str, tmp_path: Path) -> None:
    """Account ids, memos, reasons and keys stand in no exported byte."""
    with sealed_ledger(sqlite_url, tmp_path) as ledger:
        export(ledger, tmp_path / "out")
    data = b"".join(contents(tmp_path / "out").values())
    for word in (*books.PEOPLE, "private word", "endow", "play", books.SECRET.hex()):
        assert word.encode() not in data


def test_an_altered_file_is_kept_as_evidence(sqlite_url: str, tmp_path: Path) -> None:
    """Export refuses to overwrite a batch file that it would not have written."""
    with sealed_ledger(sqlite_url, tmp_path) as ledger:
        export(ledger, tmp_path / "out")
        path = tmp_path / "out" / "batches" / "00000001.json"
        document = decode(path.read_bytes())
        document["entries"][0]["value"] = "1"
        path.write_bytes(encode(document))
        forged = contents(tmp_path / "out")
        with pytest.raises(FileFormatError, match="not what this ledger exports"):
            export(ledger, tmp_path / "out")
        assert forged == contents(tmp_path / "out")


def test_an_altered_signature_is_kept_as_evidence(sqlite_url: str, tmp_path: Path) -> None:
    """Export replaces a signature that the ledger knows, and no other."""
    with sealed_ledger(sqlite_url, tmp_path) as ledger:
        export(ledger, tmp_path / "out")
        path = tmp_path / "out" / "batches" / "00000001.json"
        whole = path.read_bytes()
        document = decode(whole)
        forged = "0x" + "11" * 65
        path.write_bytes(encode({**document, "signature": forged}))
        with pytest.raises(FileFormatError, match="not what this ledger exports"):
            export(ledger, tmp_path / "out")
        assert forged == decode(path.read_bytes())["signature"]
        path.write_bytes(whole)
        sign(ledger, books.stranger(), sealer=books.stranger().address, numbers=[1])
        assert 1 == export(ledger, tmp_path / "out").written


def test_another_tokens_directory_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    """An export never mixes two tokens, and a file is no directory."""
    with sealed_ledger(sqlite_url, tmp_path) as ledger:
        export(ledger, tmp_path / "out")
        before = contents(tmp_path / "out")
        ledger.create_token("TWO", "The second", 6)
        ledger.use("TWO")
        with pytest.raises(FileFormatError, match="another token"):
            export(ledger, tmp_path / "out")
        assert before == contents(tmp_path / "out")
        (tmp_path / "file").write_text("mine")
        with pytest.raises(FileFormatError, match="is a file"):
            export(ledger, tmp_path / "file")


def test_an_interrupted_export_is_finished(sqlite_url: str, tmp_path: Path) -> None:
    """Left-over temporary files go, and the files come out as if nothing had happened."""
    with sealed_ledger(sqlite_url, tmp_path) as ledger:
        export(ledger, tmp_path / "whole")
        batches = tmp_path / "part" / "batches"
        batches.mkdir(parents=True)
        first = "00000001.json"
        (batches / first).write_bytes((tmp_path / "whole" / "batches" / first).read_bytes())
        (batches / f"{TEMPORARY_PREFIX}x").write_bytes(b"{half")
        export(ledger, tmp_path / "part")
    assert contents(tmp_path / "whole") == contents(tmp_path / "part")


def test_a_directory_that_cannot_be_written_is_named(sqlite_url: str, tmp_path: Path) -> None:
    """Where files cannot be written the error says so, and names the path."""
    with sealed_ledger(sqlite_url, tmp_path) as ledger:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "batches").write_text("in the way")
        with pytest.raises(UnavailableError, match="cannot write the export"):
            export(ledger, tmp_path / "out")


def test_altered_rows_of_the_database_are_not_exported(sqlite_url: str, tmp_path: Path) -> None:
    """An amount changed behind the ledger's back stops the export of its batch."""
    with sealed_ledger(sqlite_url, tmp_path) as ledger:
        with ledger.write() as connection:
            connection.execute(text("DROP TRIGGER token_ledger_no_update"))
            connection.execute(
                text("UPDATE token_ledger SET amount = balance_after_to WHERE entry_no = 3")
            )
            connection.execute(
                text("UPDATE token_ledger SET amount = :one WHERE entry_no = 3"),
                {"one": (1).to_bytes(32, "big")},
            )
        with pytest.raises(DatabaseError, match="altered"):
            export(ledger, tmp_path / "out")


def test_an_empty_ledger_exports_a_manifest(sqlite_url: str, tmp_path: Path) -> None:
    """Before the first batch there is a manifest with head 0 and no files."""
    with books.create(sqlite_url, tmp_path) as ledger:
        assert 0 == export(ledger, tmp_path / "out").batches
    assert ["manifest.json"] == list(contents(tmp_path / "out"))
