"""Status: what waits to be sealed, signed and replayed, where the heads stand, and any drift."""

from __future__ import annotations

from dataclasses import dataclass

from token_ledger.core.address import to_checksum
from token_ledger.core.parse import format_amount
from token_ledger.core.strict import to_hex
from token_ledger.ledger import Ledger, batches, figures, homes, queries
from token_ledger.ledger.batches import Head
from token_ledger.ledger.homes import Home


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a contract of the token stood when it was imported last."""

    chain_id: int
    contract: bytes
    number: int
    digest: bytes | None
    ours: bool

    def to_json(self) -> dict[str, object]:
        """Return the head as one JSON-ready object."""
        return {
            "chain_id": self.chain_id,
            "contract": to_checksum(self.contract),
            "number": self.number,
            "digest": None if self.digest is None else to_hex(self.digest),
            "ours": self.ours,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """How far a token is on its way. Values in base units.

    `unreplayed` counts sealed batches that the mirror has not seen on the token's newest contract
    whose head is the ledger's own.
    `home`: where the token lives, once that is a chain; batches since then are not to be replayed.
    `drift` is the sum of all balances less the total supply: anything but 0 is an alarm.
    """

    symbol: str
    decimals: int
    token_uid: bytes
    ledger_uid: bytes
    operator: bytes
    entries: int
    unsealed: int
    batches: int
    unsigned: int
    unreplayed: int
    head: Head
    chains: tuple[ChainHead, ...]
    total_supply: int
    drift: int
    home: Home | None = None

    def to_json(self) -> dict[str, object]:
        """Return the status as one JSON-ready object, amounts in human units."""
        return {
            "token": self.symbol,
            "token_uid": to_hex(self.token_uid),
            "ledger_uid": to_hex(self.ledger_uid),
            "operator": to_checksum(self.operator),
            "entries": self.entries,
            "unsealed": self.unsealed,
            "batches": self.batches,
            "unsigned": self.unsigned,
            "unreplayed": self.unreplayed,
            "heads": {
                "ledger": {"number": self.head.number, "digest": to_hex(self.head.digest)},
                "chains": [chain.to_json() for chain in self.chains],
            },
            "total_supply": format_amount(self.total_supply, decimals=self.decimals),
            "drift": format_amount(self.drift, decimals=self.decimals),
            "home": None if self.home is None else _home_json(self.home),
        }


def _home_json(home: Home) -> dict[str, object]:
    return {
        "chain_id": home.chain_id,
        "contract": to_checksum(home.address),
        "next_block": home.next_block,
        "stopped": home.stopped is not None,
    }


def status(ledger: Ledger) -> Status:
    """Return how far the selected token is, as of one snapshot of the database. Asks no node."""
    token = ledger.token
    with ledger.read() as connection:
        supply = queries.get_supply(connection, token).total_supply
        head = batches.head(connection, token)
        chains = tuple(
            ChainHead(
                chain_id,
                address,
                number,
                digest,
                ours=digest is None or batches.known_digest(connection, token, digest) == number,
            )
            for chain_id, address, number, digest in figures.mirrored_heads(connection, token)
        )
        own = [chain.number for chain in chains if chain.ours]
        home = homes.read_home(connection, token)
        replayable = head.number if home is None else home.replayed_number
        return Status(
            symbol=token.symbol,
            decimals=token.decimals,
            token_uid=token.uid,
            ledger_uid=ledger.ledger_uid,
            operator=ledger.operator,
            entries=figures.count_entries(connection, token),
            unsealed=batches.count_unsealed(connection, token),
            batches=head.number,
            unsigned=batches.count_unsigned(connection, token),
            unreplayed=replayable - (own[-1] if own else 0),
            head=head,
            chains=chains,
            total_supply=supply,
            drift=figures.sum_balances(connection, token) - supply,
            home=home,
        )
