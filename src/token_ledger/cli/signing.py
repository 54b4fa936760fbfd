"""Transactions as files: what commands write for others to sign, instead of sending it."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from token_ledger.chain.identity import TEST_CHAIN_IDS
from token_ledger.cli.app import (
    ADDRESS,
    FILE,
    App,
    beside_database,
)
from token_ledger.cli.outcome import GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.core.address import to_checksum
from token_ledger.core.forecast import GasPrice, ether, parse_gas_price
from token_ledger.core.strict import encode
from token_ledger.errors import UsageError
from token_ledger.wholefile import write_whole

if TYPE_CHECKING:
    from token_ledger.compose import Composition
    from token_ledger.core.outbox import Call
    from token_ledger.ledger import Ledger

REPLAY_BEGUN = (
    "a replay was begun before, or written down for others to send: it must not be sent any more"
)
max_gas_price_option = click.option(
    "--max-gas-price", metavar="GWEI", help="Never offer more for a unit of gas."
)
take_over_option = click.option(
    "--take-over",
    is_flag=True,
    help="Replace what the payer has on its way unmined, instead of waiting for it.",
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Where the transactions of a migration go, if not to the node."""

    safe_json: Path | None
    unsigned: Path | None
    payer: bytes | None
    nonce: int | None
    max_gas_price: str | None
    part_rows: int | None = None
    allow_code: tuple[bytes, ...] = ()
    take_over: bool = False

    @property
    def wanted(self) -> bool:
        """Whether a file is to be written."""
        return self.safe_json is not None or self.unsigned is not None

    @property
    def fee_max_wei(self) -> int | None:
        """The most to offer for a unit of gas, in wei."""
        return None if self.max_gas_price is None else parse_gas_price(self.max_gas_price).wei

    @property
    def terms(self) -> dict[str, Any]:
        """How a verb that sends by itself is to send: for what price, and before what."""
        return {"gas_price_max": self.fee_max_wei, "take_over": self.take_over}

    def check(self, unsigned: str = "--unsigned") -> None:
        """Raise UsageError for options that do not go together, and for a price that is none."""
        if self.safe_json is not None and self.unsigned is not None:
            raise UsageError(f"--safe-json and {unsigned} do not go together", hint="take one")
        if (self.unsigned is None) != (self.payer is None):
            raise UsageError(
                f"{unsigned} and --payer go together", hint="name the account that will sign"
            )
        if self.nonce is not None and (self.unsigned is None or self.nonce < 0):
            raise UsageError(f"--nonce goes with {unsigned}, and is not negative")
        if self.fee_max_wei is not None and self.safe_json is not None:
            raise UsageError(
                f"--max-gas-price goes with {unsigned} or with sending",
                hint="who executes a Safe's file offers the price",
            )
        if self.take_over and self.wanted:
            raise UsageError(
                "--take-over goes with sending",
                hint="--nonce N writes a transaction in the place of another",
            )

    def migration(self, ledger: Ledger, url: str, *, finalize: bool) -> Composition:
        """Return what `migrate` would send."""
        from token_ledger.compose import compose

        return compose(
            ledger, url, finalize=finalize, part_rows=self.part_rows, allow_code=self.allow_code
        )

    def write_from(self, app: App, url: str, make: Callable[[Ledger], Composition]) -> int:
        """Write what `make` says of the ledger, for its operator's Safe where it is one."""
        with app.open_ledger() as ledger, ProgressReport():
            made = make(ledger)
            symbol, operator = ledger.token.symbol, ledger.operator
        return self.write(app, url, made, name=symbol, safe=operator)

    def write(
        self, app: App, url: str, made: Composition, *, name: str, safe: bytes | None = None
    ) -> int:
        """Write the file, or the files, and tell what they hold."""
        from token_ledger.compose import unsigned_file

        if self.safe_json is not None:
            paths = _write_safe(self.safe_json, made.calls, made.chain_id, name, safe)
            cost: dict[str, Any] = {}
        else:
            assert self.unsigned is not None
            assert self.payer is not None
            most = self.fee_max_wei
            file = unsigned_file(
                made,
                url,
                payer=self.payer,
                nonce=self.nonce,
                fee_max=None if most is None else GasPrice("given", most),
            )
            write_whole(self.unsigned, encode(file.to_json()))
            paths, cost = [self.unsigned], {"cost_max_ether": ether(file.cost_max_wei)}
        document = {
            "contract": to_checksum(made.contract),
            "chain_id": made.chain_id,
            "transactions": len(made.calls),
            "files": [str(path) for path in paths],
            **cost,
            **({"replay_begun": True} if made.replay_begun else {}),
        }
        app.answer(
            document,
            lambda screen: screen.pairs(
                [
                    ("contract", document["contract"]),
                    ("chain", made.chain_id),
                    ("transactions", len(made.calls)),
                    ("costs at most", f"{cost['cost_max_ether']} ether" if cost else None),
                    *(("written", path) for path in paths),
                    ("beware", REPLAY_BEGUN if made.replay_begun else None),
                ]
            ),
        )
        return GOOD


def record_place(
    app: App, ledger: Ledger, url: str, path: Path | None, *, contract: str = "LedgerToken"
) -> Path | None:
    """Return where a contract's deployment record goes: asked, and checked, before it is sent.

    By default beside the database, and nowhere for a test chain. Raises where it could not be
    written there.
    """
    from token_ledger.chain.rpc import Rpc
    from token_ledger.record import check_place

    if path is None:
        with Rpc(url) as rpc:
            chain_id = rpc.quantity("eth_chainId")
        if chain_id in TEST_CHAIN_IDS:
            return None
        symbol = re.sub(r"[^A-Za-z0-9]", "_", ledger.token.symbol)
        kind = "" if contract == "LedgerToken" else f".{contract}"
        path = beside_database(app.db, f".{symbol}.{chain_id}{kind}.deployment.json")
    check_place(ledger, url, path, contract=contract)
    return path


def write_record_at(
    ledger: Ledger, url: str, path: Path | None, *, contract: str = "LedgerToken"
) -> None:
    """Write a contract's deployment record to the place that `record_place` found for it."""
    from token_ledger.record import write_record

    if path is not None:
        write_record(ledger, url, path, contract=contract)


def outgoing_options(
    *, unsigned: str = "--unsigned"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator: the options on sending, or writing to a file instead, as one `to_file`.

    `unsigned`: what that option is called where the command has another of its name.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(
            *arguments: Any,
            safe_json: Path | None,
            unsigned_file: Path | None,
            payer: bytes | None,
            nonce: int | None,
            max_gas_price: str | None,
            take_over: bool,
            **words: Any,
        ) -> Any:
            to_file = Outgoing(
                safe_json, unsigned_file, payer, nonce, max_gas_price, take_over=take_over
            )
            to_file.check(unsigned)
            return command(*arguments, to_file=to_file, **words)

        made: Callable[..., Any] = run
        for option in reversed(_outgoing(unsigned)):
            made = option(made)
        return made

    return decorate


def _outgoing(unsigned: str) -> list[Callable[[Any], Any]]:
    return [
        click.option(
            "--safe-json",
            type=FILE,
            metavar="FILE",
            help="Write it for Safe's Transaction Builder, and send nothing.",
        ),
        click.option(
            unsigned,
            "unsigned_file",
            type=FILE,
            metavar="FILE",
            help="Write it for `sign-offline`, and send nothing. Needs --payer.",
        ),
        click.option(
            "--payer", type=ADDRESS, metavar="0x…", help=f"Who will sign what {unsigned} writes."
        ),
        click.option("--nonce", type=int, metavar="N", help=f"The first nonce of {unsigned}."),
        max_gas_price_option,
        take_over_option,
    ]


def _write_safe(
    path: Path, calls: tuple[Call, ...], chain_id: int, name: str, safe: bytes | None
) -> list[Path]:
    """Write one file per Safe transaction: the first to `path`, others with a number."""
    from token_ledger.core.outbox import safe_document, safe_groups

    paths: list[Path] = []
    for number, group in enumerate(safe_groups(calls), 1):
        target = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        document = safe_document(
            group,
            chain_id=chain_id,
            safe=safe,
            name=f"{name}: {number}",
            created_ms=time.time_ns() // 10**6,
        )
        write_whole(target, encode(document))
        paths.append(target)
    return paths
