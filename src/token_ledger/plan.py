"""Plan: what `migrate` would send and cost, before anything is sent or written.

Reads the books, asks a node (where one is named) only how far the contract stands and what gas
costs there, and reckons: transactions, gas floor and expected gas, money, new holders, cheaper
ways, and forks under way that would change the price. Entries that are not sealed are reckoned in
the batches that sealing now would make.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from token_ledger.anchor import HEADERS_MAX
from token_ledger.chain import contracts
from token_ledger.chain.creation import (
    REGISTRY,
    SNAPSHOT_TOKEN,
    registry_init_code,
    snapshot_init_code,
)
from token_ledger.chain.identity import read_identity
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import get_code, read_state
from token_ledger.core import forecast
from token_ledger.core.address import to_checksum
from token_ledger.core.forecast import BatchForecast, BatchOutline, GasPrice, Totals, ether
from token_ledger.core.gas import CALLDATA_MAX, GAS_MAX
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.types import ZERO_ADDRESS
from token_ledger.crossing import check_no_snapshot
from token_ledger.ledger import (
    Connection,
    Ledger,
    StoredToken,
    batches,
    imports,
    mirror_joins,
    sealing,
)
from token_ledger.ledger.batches import Head
from token_ledger.ledger.sealing import UnsealedEntry
from token_ledger.seal import plan_batch

TOKEN_CONSTRUCTOR_GAS = 125_000
REGISTRY_CONSTRUCTOR_GAS = 80_000
SNAPSHOT_OPEN_GAS = 260_000
SNAPSHOT_CLAIM_GAS = 92_000
ANCHOR_GAS, ANCHOR_HEADER_GAS = 45_000, 32_000
_EVERYTHING = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Way:
    """One way to go on the chain, in gas: what the operator pays and what holders pay."""

    name: str
    operator_gas: int
    holders_gas: int
    gives: str

    @property
    def gas(self) -> int:
        """What all pay together."""
        return self.operator_gas + self.holders_gas


@dataclass(slots=True)
class Plan:
    """What a migration would take. Gas in units of gas; money in wei."""

    symbol: str
    contract: bytes
    chain_id: int | None = None
    after: int = 0
    deployed: bool = False
    finalized: bool = False
    sealed_batches: int = 0
    unsealed_entries: int = 0
    totals: Totals = field(default_factory=Totals)
    deployment_gas: int = 0
    deployment_runtime_bytes: int = 0
    new_holders: int = 0
    holders: int = 0
    snapshot_gas: int = 0
    registry_gas: int = 0
    prices: tuple[GasPrice, ...] = ()

    @property
    def transactions(self) -> int:
        """How many transactions are sent: deployment, replays, finalize."""
        return self.totals.batches + (not self.deployed) + (not self.finalized)

    @property
    def finalize_gas(self) -> int:
        """The gas of `finalize`, if it is still to come."""
        return 0 if self.finalized else forecast.FINALIZE_GAS

    @property
    def gas(self) -> int:
        """The expected gas of everything, deployment and finalize included."""
        return self.totals.gas + self.deployment_gas + self.finalize_gas

    @property
    def gas_floor(self) -> int:
        """What no contract could go below, for the same rows; the deployment is not in it."""
        return self.totals.floor

    @property
    def ways(self) -> tuple[Way, ...]:
        """Every way to go on the chain, this one first."""
        snapshot = self.snapshot_gas + SNAPSHOT_OPEN_GAS
        runs = -(-self.totals.batches // HEADERS_MAX)
        anchor = self.registry_gas + ANCHOR_GAS * runs + ANCHOR_HEADER_GAS * self.totals.batches
        claims = SNAPSHOT_CLAIM_GAS * self.holders
        return (
            Way("replay", self.gas, 0, "every entry as a Transfer, every balance in place"),
            Way("snapshot", snapshot, claims, "balances alone, each claimed by its holder"),
            Way("anchor", anchor, 0, "tamper evidence of every batch, and no token"),
        )

    @property
    def cheaper(self) -> Way | None:
        """The cheapest way that still makes a token, if all together pay less than for replay."""
        replay, snapshot, _ = self.ways
        return snapshot if snapshot.gas < replay.gas else None

    def forks(self) -> list[dict[str, object]]:
        """Return what forks under way would make of the expected gas."""
        told: list[dict[str, object]] = []
        for fork in forecast.REPRICINGS:
            gas = self.totals.repriced.get(fork.name, 0) + self.finalize_gas
            if not self.deployed:
                gas += fork.deployment_gas(
                    self.deployment_gas, runtime_bytes=self.deployment_runtime_bytes
                )
            told.append(
                {
                    "name": fork.name,
                    "as_of": fork.as_of,
                    "eips": list(fork.eips),
                    "expected_gas": gas,
                    "percent_of_today": gas * 100 // self.gas if self.gas else 100,
                }
            )
        return told

    def costs(self) -> list[dict[str, object]]:
        """Return what the gas costs at each price."""
        return [
            {
                "network": price.network,
                "gas_price_wei": str(price.wei),
                "cost_wei": str(self.gas * price.wei),
                "cost_ether": ether(self.gas * price.wei),
                "l1_data_bytes": self.totals.calldata_bytes if price.l1_data else 0,
            }
            for price in self.prices
        ]

    def to_json(self) -> dict[str, object]:
        """Return the plan as one JSON-ready object."""
        return {
            "token": self.symbol,
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "deployed": self.deployed,
            "finalized": self.finalized,
            "after_batch": self.after,
            "batches": self.totals.batches,
            "sealed_batches": self.sealed_batches,
            "entries": self.totals.entries,
            "unsealed_entries": self.unsealed_entries,
            "transactions": self.transactions,
            "new_holders": self.new_holders,
            "calldata_bytes": self.totals.calldata_bytes,
            "gas_floor": self.gas_floor,
            "expected_gas": self.gas,
            "replay_gas": self.totals.gas,
            "largest_batch_gas": self.totals.gas_max,
            "deployment_gas": self.deployment_gas,
            "finalize_gas": self.finalize_gas,
            "costs": self.costs(),
            "l1_data_note": forecast.L1_DATA_NOTE,
            "ways": [
                {
                    "name": way.name,
                    "operator_gas": way.operator_gas,
                    "holders_gas": way.holders_gas,
                    "gives": way.gives,
                }
                for way in self.ways
            ],
            "cheaper": None if self.cheaper is None else self.cheaper.name,
            "forks": self.forks(),
        }


def plan(
    ledger: Ledger,
    rpc_url: str | None = None,
    *,
    gas_prices: Sequence[GasPrice] = (),
    progress: Progress = no_progress,
) -> Plan:
    """Return what migrating the selected token would take; nothing is sent and nothing written.

    Without `rpc_url` the whole history is reckoned, as on a chain that has none of it. Without
    `gas_prices` a table of usual ones is taken, and with a node its own price first. Raises
    RpcError where the node cannot be asked, NotReadyError for a token that a snapshot brought over.
    """
    token = ledger.token
    made = Plan(token.symbol, contracts.token_address(token, ledger.operator))
    made.prices = tuple(gas_prices) or forecast.PRICES
    with ledger.read() as connection:
        home = imports.read_followed(connection, token)
    if home is not None:  # the chain leads: nothing will be replayed any more
        made.contract, made.chain_id, made.after = home.address, home.chain_id, home.replayed_number
        made.deployed = made.finalized = True
        return made
    if rpc_url is None:
        check_no_snapshot(ledger)
    else:
        _ask(made, ledger, rpc_url, own_price=not gas_prices)
    salt, operator = token.uid, ledger.operator
    if not made.deployed:
        code = contracts.init_code(token, operator)
        made.deployment_gas = _creation_gas(salt + code, contracts.TOKEN_CONTRACT)
        made.deployment_runtime_bytes = len(contracts.artifact(contracts.TOKEN_CONTRACT).runtime)
    made.snapshot_gas = _creation_gas(salt + snapshot_init_code(token, operator), SNAPSHOT_TOKEN)
    made.registry_gas = _creation_gas(
        salt + registry_init_code(token, operator), REGISTRY, REGISTRY_CONSTRUCTOR_GAS
    )
    holders: set[bytes] = set()
    with ledger.read() as connection:
        total = batches.head(connection, token).next_seq
        for batch, new in _forecasts(connection, token, made.after):
            if batch.number is None:
                made.unsealed_entries += batch.shape.rows
            else:
                made.sealed_batches += 1
            made.totals.add(batch)
            holders.update(new)
            progress("plan", made.totals.entries, total)
    made.new_holders = made.holders = len(holders)
    return made


def _ask(made: Plan, ledger: Ledger, rpc_url: str, *, own_price: bool) -> None:
    with Rpc(rpc_url) as rpc:
        made.chain_id = read_identity(rpc).chain_id
        check_no_snapshot(ledger, rpc, chain_id=made.chain_id)
        if own_price:
            wei = rpc.quantity("eth_gasPrice")
            made.prices = (GasPrice(f"chain {made.chain_id}, now", wei), *made.prices)
        if get_code(rpc, made.contract):
            state = read_state(rpc, made.contract)
            made.deployed, made.finalized = True, state.finalized
            made.after = state.head_number


def _creation_gas(calldata: bytes, name: str, constructor_gas: int = TOKEN_CONSTRUCTOR_GAS) -> int:
    runtime = len(contracts.artifact(name).runtime)
    return forecast.deployment_gas(calldata, runtime_bytes=runtime, constructor_gas=constructor_gas)


def _forecasts(
    connection: Connection, token: StoredToken, after: int
) -> Iterator[tuple[BatchForecast, list[bytes]]]:
    """Yield each batch after `after` with its new holders: the sealed ones, then those to come."""
    position, number = Head(), after
    if after:
        header, _ = batches.read_header(connection, token, after)
        last = mirror_joins.last_entry_no(connection, token, after)
        position = Head(
            after, next_seq=header.first_seq + header.count, total_supply=header.total_supply,
            last_entry_no=last,
        )  # fmt: skip
    rows = _rows(connection, token, position)
    supply, waiting = position.total_supply, list[UnsealedEntry]()
    sealed = batches.head(connection, token).number
    for number in range(after + 1, sealed + 1):
        header, _ = batches.read_header(connection, token, number)
        outline, supply = _outline((next(rows) for _ in range(header.count)), supply)
        yield outline.forecast(number, first_batch=number == 1), outline.new_holders
    first = sealed == 0
    while True:
        for row in rows:
            waiting.append(row)
            if len(waiting) >= sealing.ROWS_MAX:
                break
        if not waiting:
            return
        head = Head(number=0 if first else 1, total_supply=supply)
        count = plan_batch(waiting, head, gas_max=GAS_MAX, calldata_max=CALLDATA_MAX)
        outline, supply = _outline(waiting[:count], supply)
        yield outline.forecast(None, first_batch=first), outline.new_holders
        waiting, first = waiting[count:], False


def _outline(rows: Iterable[UnsealedEntry], supply: int) -> tuple[BatchOutline, int]:
    """Return the outline of a batch, and the supply after it."""
    outline = BatchOutline()
    for row in rows:
        entry = row.entry
        minted, burned = entry.from_address == ZERO_ADDRESS, entry.to_address == ZERO_ADDRESS
        outline.add(
            entry.from_address,
            entry.to_address,
            entry.value,
            from_balance=supply if minted else row.from_balance_before,
            to_balance=supply if burned else row.to_balance_before,
        )
        supply += entry.value if minted else -entry.value if burned else 0
    return outline, supply


def _rows(connection: Connection, token: StoredToken, position: Head) -> Iterator[UnsealedEntry]:
    """Yield every entry after a position, read in runs."""
    while True:
        found = sealing.read_unsealed(connection, token, position, _EVERYTHING)
        yield from found
        if len(found) < sealing.ROWS_MAX:
            return
        position = Head(last_entry_no=found[-1].entry_no, next_seq=found[-1].entry.seq + 1)
