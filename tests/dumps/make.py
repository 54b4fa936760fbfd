"""Write the files of this release, which every later release must load: run once a release.

    python -m tests.dumps.make 0.1.0

Repeatable to the byte. A folder that is there is never written again: it is the past.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests import books

from token_ledger.core.files import proof_to_json
from token_ledger.core.strict import encode
from token_ledger.export import export
from token_ledger.prove import prove
from token_ledger.seal import seal
from token_ledger.sign import sign

HERE = Path(__file__).resolve().parent


def make(folder: Path) -> None:
    """Write an export of a signed and an unsigned batch, a proof, and an opened proof."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        with books.create(f"sqlite:///{work / 'ledger.db'}", work, ticking=False) as ledger:
            books.fill(ledger, 30)
            seal(ledger)
            sign(ledger, books.operator())
            posted = ledger.transfer(
                "alice",
                "bob",
                "0.000000000000000001",
                reason="dump",
                reference=("release", folder.name),
                memo="kept for ever",
                metadata={"é": [1, True, None]},
                idempotency_key="dump",
            )
            seal(ledger)
            export(ledger, folder / "export")
            for file, open_texts in (("proof.json", False), ("opened.json", True)):
                proof = prove(ledger, posted.id, open_texts=open_texts)
                (folder / file).write_bytes(encode(proof_to_json(proof)))


if __name__ == "__main__":
    target = HERE / sys.argv[1]
    if target.exists():
        sys.exit(f"{target.name} is there: a past release is never rewritten")
    make(target)
