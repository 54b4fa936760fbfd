"""What a page's transcripts need to be there before their first command."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import docs_text

from token_ledger.chain.anvil import Anvil

AUDITED = (
    "token-ledger init --symbol RSC --name 'Research Coin' --decimals 18",
    "token-ledger load books.csv --create-accounts",
    "token-ledger seal --sign",
    "token-ledger export export",
    "token-ledger migrate",
    "cast rpc anvil_mine 0x50",
    'token-ledger statement ann --json | grep -o \'"id": "0x[^"]*\' | head -1 | cut -c 8- > id',
    'token-ledger prove "$(cat id)" --open -o proof.json',
    'token-ledger status --json | grep -o \'"digest": "0x[^"]*\' | head -1 | cut -c 12- > digest',
    'token-ledger migrate --json | grep -o \'"contract": "[^"]*\' | cut -c 14- > contract',
    "token-ledger sign --json | grep -o '0x[0-9a-fA-F]*' > signer",
    "rm token_ledger.db*",
)
"""How the files of the auditor's page came to be; the auditor has the files and no ledger."""


@contextmanager
def scene(name: str) -> Iterator[dict[str, Any]]:
    """Yield where and how the transcripts of a page are run: `docs_text.run`'s keywords."""
    with tempfile.TemporaryDirectory(prefix="token-ledger-docs-") as directory:
        cwd = Path(directory)
        if name == "start.md":
            yield {"cwd": cwd, "env": docs_text.environment()}
            return
        with Anvil(args=("--enable-tx-gas-limit",)) as node:
            more = audited(cwd, node.url) if name == "auditor.md" else {}
            yield {"cwd": cwd, "env": docs_text.environment(**more), "rpc_url": node.url}


def audited(cwd: Path, url: str) -> dict[str, str]:
    """Make export and proof, and a chain that vouches; return the auditor's shell variables."""
    books = docs_text.files(docs_text.page("docs/migration.md"))["books.csv"]
    (cwd / "books.csv").write_text(books, encoding="utf-8")
    env = docs_text.environment(TOKEN_LEDGER_RPC_URL=url, ETH_RPC_URL=url)
    told = docs_text.answers(list(AUDITED), cwd=cwd, env=env)
    assert not any("error" in answer for answer in told), told
    known = {name: (cwd / name).read_text().strip() for name in ("digest", "contract", "signer")}
    modules = docs_text.PROJECT / "contracts" / "node_modules"
    (cwd / "node_modules").symlink_to(modules, target_is_directory=True)
    for name in ("id", *known, "books.csv"):
        (cwd / name).unlink()
    return {"RPC": url, **{name.upper(): value for name, value in known.items()}}
