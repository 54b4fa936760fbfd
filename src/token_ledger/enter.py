"""Enter: a token's final transfers from the mirror into the books; the second half of `import`.

Only for a token that lives on the chain: cut over, or always there. The mirror goes on to the head,
the books only as far as the chain can no longer take anything back, and not past a transfer that
they cannot take. Run after run, so that it is killed at any instant without harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from token_ledger.chain.endpoints import Nodes
from token_ledger.chain.erc20 import read_implementation
from token_ledger.chain.finality import CONFIRMATIONS
from token_ledger.chain.logs import read_headers
from token_ledger.chain.rpc import NodeError, Rpc
from token_ledger.chain.state import ContractState, pinned, read_state
from token_ledger.core.findings import RULE_BROKEN
from token_ledger.core.match_home import entry_stopped, rule_broken, upgraded
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.transfers import BlockHeader
from token_ledger.core.types import Finding
from token_ledger.errors import ForeignContractError, ForkedError
from token_ledger.ledger import (
    Connection,
    Ledger,
    StoredToken,
    cutover,
    homes,
    imports,
    mirror,
    mirror_forks,
)
from token_ledger.ledger.homes import Home
from token_ledger.ledger.imports import CannotEnterError, Run
from token_ledger.ledger.mirror import StoredContract

FINDINGS_MAX = 1_000
"""So many broken rules are told of; `reconcile` has them all."""


@dataclass(slots=True)
class EnterResult:
    """What became entries: all final transfers of the blocks below `next_block`.

    `waiting`: transfers that are not final yet, or stand behind what stopped the books. `unmoved`:
    transfers that move nothing. `broken` counts entries that a rule of the ledger would have
    refused.
    """

    symbol: str
    entries: int = 0
    accounts: int = 0
    unmoved: int = 0
    waiting: int = 0
    broken: int = 0
    next_block: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, later: EnterResult) -> None:
        """Add what a later run did."""
        self.entries += later.entries
        self.accounts += later.accounts
        self.unmoved += later.unmoved
        self.broken += later.broken
        self.waiting, self.next_block = later.waiting, later.next_block
        broken = [found for found in self.findings if found.kind == RULE_BROKEN]
        self.findings = broken[:FINDINGS_MAX] + later.findings

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "token": self.symbol,
            "entries": self.entries,
            "accounts": self.accounts,
            "unmoved": self.unmoved,
            "waiting": self.waiting,
            "broken": self.broken,
            "next_block": self.next_block,
            "findings": [finding.to_json() for finding in self.findings],
        }


def enter(
    ledger: Ledger,
    nodes: Nodes,
    contract: StoredContract,
    *,
    confirmations: int = CONFIRMATIONS,
    progress: Progress = no_progress,
    stopped: Callable[[], bool] = lambda: False,
) -> EnterResult | None:
    """Make entries of the contract's final transfers; None where its token is not the chain's.

    `confirmations`: the depth that counts as final on a chain that knows no finality. `stopped`:
    asked between two transactions whether to end there. A cut-over that has become final is
    recorded first. Raises RpcError, and ForkedError where the mirror was taken back meanwhile.
    """
    token = next((t for t in ledger.tokens() if t.token_no == contract.token_no), None)
    if token is None:
        return None
    final = nodes.final_block(confirmations=confirmations)
    home = _home(ledger, nodes, token, contract, final)
    if home is None:
        return None
    top = _agreed(ledger, nodes, contract, final)
    # Asked first: what was entered is told, whatever the node does meanwhile.
    upgrade = _find_upgrade(nodes, contract, final) if contract.adopted else []
    result = _Entering(ledger, token, contract, progress, stopped).run(home, top)
    result.findings += upgrade
    return result


def _find_upgrade(nodes: Nodes, contract: StoredContract, final: BlockHeader) -> list[Finding]:
    """Return the finding for a proxy that for good runs other code; none where no node says.

    A token may have been taken in after an upgrade that is not final yet: what runs now decides.
    """
    found: list[bytes] = []
    for block in (hex(final.number), "latest"):
        runs = nodes.run(partial(read_implementation, address=contract.address, block=block))
        if runs is None or (runs or None) == contract.implementation:
            return []
        found.append(runs)
    return [upgraded(contract.implementation, found[0] or None, block_number=final.number)]


def _home(
    ledger: Ledger,
    nodes: Nodes,
    token: StoredToken,
    contract: StoredContract,
    final: BlockHeader,
) -> Home | None:
    """Return the token's home if it is this contract; find out whether it has become that."""
    with ledger.read() as connection:
        home = homes.read_home(connection, token)
    if home is not None:
        same = (home.chain_id, home.address) == (contract.chain_id, contract.address)
        return home if same else None
    state = nodes.agree_on(
        lambda rpc: _state_at(rpc, contract, final), _state_told, block=final.number
    )
    if state is None or not state.finalized:
        return None

    def work(connection: Connection) -> Home:
        now = ledger.now()
        cutover.close_books(connection, token, now=now, whatever_waits=True)
        cutover.record_finalized(connection, token, now=now)
        return homes.settle(connection, token, contract, replayed_number=state.head_number, now=now)

    return ledger.run(work)


def _state_at(rpc: Rpc, contract: StoredContract, final: BlockHeader) -> ContractState | None:
    """Return the contract's state at the final block; None where that does not have it yet."""
    try:
        try:
            return read_state(rpc, contract.address, block=pinned(final.hash))
        except NodeError:  # it names blocks by number only, or it does not have this one
            if read_headers(rpc, [final.number])[0].hash != final.hash:
                raise
            return read_state(rpc, contract.address, block=hex(final.number))
    except ForeignContractError:
        return None


def _state_told(state: ContractState | None) -> str:
    if state is None:
        return "no token contract"
    finalized = "finalized" if state.finalized else "not finalized"
    return f"a contract that is {finalized}, at batch {state.head_number}"


def _agreed(
    ledger: Ledger, nodes: Nodes, contract: StoredContract, final: BlockHeader
) -> BlockHeader | None:
    """Return the highest final block that the mirror knows as the nodes do, if there is one.

    Every block of a transfer is known to the mirror, so what lies between two known ones is empty.
    """
    with ledger.read() as connection:
        cursor = mirror.read_cursor(connection, contract)
        reached = 0 if cursor is None else cursor.next_block
        top = mirror_forks.highest_block(
            connection, contract.chain_id, min(final.number, reached - 1)
        )
    if top is None or nodes.headers([top.number], settled=True)[0].hash != top.hash:
        return None
    return top


class _Entering:
    """One contract's transfers on their way into the books."""

    def __init__(
        self,
        ledger: Ledger,
        token: StoredToken,
        contract: StoredContract,
        progress: Progress,
        stopped: Callable[[], bool],
    ) -> None:
        self.ledger = ledger
        self.token = token
        self.contract = contract
        self.progress = progress
        self.stopped = stopped
        self.result = EnterResult(token.symbol)

    def run(self, home: Home, top: BlockHeader | None) -> EnterResult:
        result = self.result
        result.next_block = home.next_block
        if top is not None:
            self._enter(top)
        with self.ledger.read() as connection:
            result.waiting = imports.count_waiting(connection, self.contract, result.next_block)
        return result

    def _enter(self, top: BlockHeader) -> None:
        """Enter run by run up to a block, or until the books cannot go on, or somebody stops it."""
        last = top.number
        refused: CannotEnterError | None = None
        while True:
            try:
                run = self._enter_run(top, last)
            except CannotEnterError as error:
                refused, last = error, error.block_number - 1
                continue
            except ForkedError:
                if not self.result.entries:
                    raise
                return  # what was entered is told; the next import goes on
            if run is None:
                break
            self._count(run)
            if self.stopped():
                return
        if refused is not None:
            self._refuse(refused)

    def _enter_run(self, top: BlockHeader, last: int) -> Run | None:
        ledger = self.ledger
        return ledger.run(
            lambda connection: imports.enter_run(
                connection,
                ledger.context,
                self.token,
                self.contract,
                top=top,
                up_to=last,
                now=ledger.now(),
            )
        )

    def _count(self, run: Run) -> None:
        result = self.result
        result.entries += run.entries
        result.accounts += run.accounts
        result.unmoved += run.unmoved
        result.broken += len(run.broken)
        result.next_block = run.next_block
        room = FINDINGS_MAX - len(result.findings)
        result.findings += [rule_broken(*broken) for broken in run.broken[: max(0, room)]]
        self.progress("entries", result.entries, None)

    def _refuse(self, error: CannotEnterError) -> None:
        """Remember what the books cannot take; the next import tries it again."""
        place = (error.block_number, error.log_index)
        self.ledger.run(
            lambda connection: homes.move_on(
                connection, self.token, error.block_number, now=self.ledger.now(), stopped=place
            )
        )
        with self.ledger.read() as connection:
            found = imports.read_stopped(connection, self.token, self.contract, place)
        if found is not None:
            self.result.findings.append(entry_stopped(*found))


__all__ = ["EnterResult", "enter"]
