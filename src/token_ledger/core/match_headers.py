"""What differs between the headers of books, mirror and contract, said as findings. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from token_ledger.core import findings as kinds
from token_ledger.core.match import replayed_where
from token_ledger.core.strict import to_hex
from token_ledger.core.transfers import ReplayedBatch
from token_ledger.core.types import Finding, Header


def match_own_digest(
    header: Header, digest: bytes, recomputed: bytes, replay: ReplayedBatch | None = None
) -> list[Finding]:
    """Return the finding for a stored header that is not what its own digest says, if it is one.

    `replay`: what the chain says of it, where it was replayed.
    """
    if recomputed == digest:
        return []
    return [
        header_differs(
            header.number,
            "own",
            "the stored digest is not its header's: the header was altered in the database; "
            "restore it from a backup, or compare it with an export",
            {
                "ledger": to_hex(recomputed),
                "stored": to_hex(digest),
                "chain": None if replay is None else to_hex(replay.digest),
                **replayed_where(replay),
            },
        )
    ]


def match_headers(
    header: Header, digest: bytes, recomputed: bytes, replayed: Sequence[ReplayedBatch]
) -> list[Finding]:
    """Return how a stored header differs from itself and from the chain's BatchReplayed logs.

    `recomputed` is the digest that the header's own fields give.
    """
    number = header.number
    found = match_own_digest(header, digest, recomputed, replayed[0] if replayed else None)
    if not replayed:
        found.append(
            header_differs(
                number,
                "missing",
                "a later batch was replayed, but this one has no BatchReplayed log: "
                "the node left logs out, or the mirror lost a row; read it anew with "
                "`import --again`",
                {"ledger": to_hex(digest), "chain": None, **replayed_where(None)},
            )
        )
    for i, log in enumerate(replayed):
        ours = (digest, header.entries_root, header.first_seq, header.count)
        theirs = (log.digest, log.entries_root, log.first_seq, log.count)
        if ours == theirs and i == 0:
            continue
        same = ours == theirs
        what = "it was replayed twice" if same else "its BatchReplayed log says otherwise"
        found.append(
            header_differs(
                number,
                "again" if i else "log",
                f"{what}: the header or the mirror was altered, or another copy of the ledger "
                "replayed; verify an export against the contract: if it holds, read the mirror "
                "anew with `import --again`",
                {
                    "ledger": _header_side(*ours),
                    "chain": _header_side(*theirs),
                    **replayed_where(log),
                },
            )
        )
    return found


def _header_side(digest: bytes, root: bytes, first_seq: int, count: int) -> dict[str, object]:
    """Return all of a header that books and log both say."""
    said = {"digest": to_hex(digest), "root": to_hex(root)}
    return {**said, "first_seq": first_seq, "count": count}


def contract_digest_differs(number: int, digest: bytes, on_chain: bytes, block: int) -> Finding:
    """Return the finding for a header that the contract holds another digest of."""
    return header_differs(
        number,
        "contract",
        "the contract holds another digest: the header was altered in the database, "
        "or another copy of the ledger replayed there; verify an export against the contract",
        {"ledger": to_hex(digest), "chain": to_hex(on_chain), "block": block, "tx": None},
    )


def never_closed(number: int) -> Finding:
    """Return the finding for a batch of which every row was replayed, and no log says so."""
    return header_differs(
        number,
        "missing",
        "all its rows were replayed, but it has no BatchReplayed log: the node left the log out, "
        "or the mirror lost a row; read it anew with `import --again`",
        {"ledger": None, "chain": None, **replayed_where(None)},
    )


def unknown_header(log: ReplayedBatch) -> Finding:
    """Return the finding for a replayed batch that the ledger does not hold."""
    return header_differs(
        log.number,
        "unknown",
        "it was replayed, but the ledger does not hold it: the ledger was restored from an older "
        "backup, or another copy of it replayed; find the newest copy of the ledger",
        {"ledger": None, "chain": to_hex(log.digest), **replayed_where(log)},
    )


def header_differs(number: int, aspect: str, what: str, details: dict[str, object]) -> Finding:
    """Return the finding for one aspect in which a header differs."""
    return Finding(
        kinds.HEADER_DIFFERS,
        f"batch {number}: {what}",
        {"batch": number, "aspect": aspect, **details},
    )
