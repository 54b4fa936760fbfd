"""docs/migration.md: its transcripts are what is answered, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests import books, docs_text
from tests.docs_scenes import scene

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.core.findings import KINDS
from token_ledger.ledger import Ledger
from token_ledger.ledger.schema import token_ledger
from token_ledger.migrate import migrate
from token_ledger.seal import seal
from token_ledger.sign import sign

PAGE = "docs/migration.md"
SAFE = b"\x5a" * 20
# A contract wallet that owners have told to agree: returns ERC-1271's 0x1626ba7e to every call.
AGREES = bytes.fromhex("631626ba7e60e01b5f5260205ff3")


def test_the_transcripts_are_what_is_answered() -> None:
    """From `init` to `finalize`, each command answers what the page shows, but for hashes."""
    with scene("migration.md") as where:
        docs_text.check(docs_text.page(PAGE), **where)


def test_a_safe_signs_through_python(tmp_path: Path) -> None:
    """With the page's signer, a ledger whose operator is a contract is replayed by ERC-1271."""
    names: dict[str, Any] = {}
    (source,) = docs_text.blocks(docs_text.page(PAGE), "python")
    exec(compile(source, PAGE, "exec"), names)
    url = f"sqlite:///{tmp_path / 'safe.db'}"
    with Anvil() as node, Rpc(node.url) as rpc, Ledger.create(url, operator=SAFE) as ledger:
        rpc.call("anvil_setCode", [hex_data(SAFE), hex_data(AGREES)])
        ledger.create_token("RSC", "Research Coin", 18)
        books.fill(ledger, 20)
        digest = seal(ledger).head_digest
        assert digest is not None
        sign(ledger, names["Collected"](SAFE, {digest: b"the owners' signatures"}))
        assert 20 == migrate(ledger, node.url).entries


def test_the_findings_are_a_page_away() -> None:
    """The guide names the findings that stand in the way, and the page that has all of them."""
    section = docs_text.page(PAGE).split("## 9. Reconcile")[1].split("## 10.")[0]
    assert "](findings.md)" in section
    named = set(re.findall(r"`(\w+_\w+)`", section)) & KINDS
    assert {"mirror_behind", "balance_drift", "supply_drift", "header_differs"} <= named


def test_every_column_of_an_entry_is_mapped() -> None:
    """The page says of every public column of the ledger what becomes of it on a chain."""
    inner = {"token_no", "nonce", "ref", "supply_after", "created_at", "redacted_at"}
    section = docs_text.page(PAGE).split("## What becomes of a row")[1].split("## 1.")[0]
    columns = {column.name for column in token_ledger.columns} - inner
    assert set() == {name for name in columns if f"`{name}`" not in section}
