"""Demo: the whole path on made-up data, on SQLite and a local Anvil, and two frauds caught.

Everything goes through the same verbs as a user's own ledger. The input is a CSV that the demo
writes itself (`sample`); the chain is started and stopped here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import KeystoreSigner, create_keystore, password_from
from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted, filled
from token_ledger.core.files import proof_to_json, read_batch
from token_ledger.core.parse import format_amount
from token_ledger.core.strict import decode, encode, to_hex
from token_ledger.core.types import Finding
from token_ledger.errors import UsageError
from token_ledger.export import export
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.load import load
from token_ledger.migrate import migrate
from token_ledger.prove import prove
from token_ledger.reconcile import reconcile
from token_ledger.sample import write_sample
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.verify import Anchors, verify

SYMBOL, NAME, DECIMALS = "RSC", "Research Coin", 18
_FINALITY_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the demo: the command that a user would type, and what came of it."""

    command: str
    outcome: str


Tell = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo showed: all true, or something is wrong with this installation."""

    entries: int
    batches: int
    findings: int
    proof_verified: bool
    altered_export_caught: bool
    altered_chain_caught: bool

    @property
    def good(self) -> bool:
        """Whether everything that should hold held, and both frauds were caught."""
        return (
            self.findings == 0
            and self.proof_verified
            and self.altered_export_caught
            and self.altered_chain_caught
        )

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "entries": self.entries,
            "batches": self.batches,
            "findings": self.findings,
            "proof_verified": self.proof_verified,
            "altered_export_caught": self.altered_export_caught,
            "altered_chain_caught": self.altered_chain_caught,
        }


def demo(directory: Path, tell: Tell, *, rows: int = 5000, accounts: int = 200) -> DemoResult:
    """Run the whole path in `directory`, telling each step, and return what it showed.

    Leaves its files there. Raises UsageError for a directory that is not empty.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} is not empty", hint="name a new directory with --dir")
    directory.mkdir(parents=True, exist_ok=True)
    keystore, password = directory / "operator.json", directory / "operator.password"
    create_keystore(keystore, password)
    signer = KeystoreSigner(keystore, password=password_from(password))
    with Ledger.create(f"sqlite:///{directory / 'ledger.db'}", operator=signer.address) as ledger:
        return _Demo(ledger, directory, signer, tell).run(rows=rows, accounts=accounts)


class _Demo:
    def __init__(self, ledger: Ledger, directory: Path, signer: KeystoreSigner, tell: Tell) -> None:
        self.ledger = ledger
        self.directory = directory
        self.signer = signer
        self._tell = tell

    def say(self, command: str, outcome: str) -> None:
        """Tell one step."""
        self._tell(Step(command, outcome))

    def run(self, *, rows: int, accounts: int) -> DemoResult:
        entries = self._book(rows=rows, accounts=accounts)
        batches = self._seal_and_export()
        with Anvil(args=("--slots-in-an-epoch", "1")) as node:
            contract = self._migrate(node.url)
            findings = self._reconcile(node.url)
            proof_verified = self._prove(node.url, contract)
            altered_export = self._alter_an_export()
            altered_chain = self._alter_the_chain(node.url, contract)
        return DemoResult(entries, batches, findings, proof_verified, altered_export, altered_chain)

    def _amount(self, value: int) -> str:
        return f"{format_amount(value, decimals=DECIMALS)} {SYMBOL}"

    def _book(self, *, rows: int, accounts: int) -> int:
        ledger = self.ledger
        token = ledger.create_token(SYMBOL, NAME, DECIMALS)
        self.say(
            f'init --symbol {SYMBOL} --name "{NAME}" --decimals {DECIMALS}',
            f"token {to_hex(token.uid)}",
        )
        path = self.directory / "economy.csv"
        write_sample(path, rows=rows, accounts=accounts)
        loaded = load(ledger, path, create_accounts=True)
        supply = ledger.get_total_supply()
        self.say(
            f"load {path.name} --create-accounts",
            f"{loaded.posted} entries, {loaded.accounts_created} accounts, "
            f"supply {self._amount(supply)}",
        )
        return loaded.posted

    def _seal_and_export(self) -> int:
        sealed = seal(self.ledger)
        signed = sign(self.ledger, self.signer)
        self.say(
            "seal --sign",
            f"{filled(sealed.entries, sealed.batches)}, {signed.signed} signed, "
            f"head {to_hex(sealed.head_digest)}",
        )
        exported = export(self.ledger, self.directory / "export")
        self.say("export export", f"{exported.written} files, {exported.entries} entries")
        return sealed.batches

    def _migrate(self, url: str) -> bytes:
        done = migrate(self.ledger, url)
        self.say(
            f"migrate --rpc {url}",
            f"contract {to_checksum(done.contract)}, {done.entries} entries replayed in "
            f"{counted(done.batches, 'transaction')}, "
            f"{(done.gas_used - done.deployment_gas_used) / done.entries:,.0f} gas an entry",
        )
        with Rpc(url) as rpc:  # so that what was replayed is final on this chain of one
            rpc.call("anvil_mine", [hex(_FINALITY_BLOCKS)])
        return done.contract

    def _reconcile(self, url: str) -> int:
        imported = ingest(self.ledger, url)
        self.say(
            f"import --rpc {url}",
            f"{imported.transfers} transfers from blocks "
            f"{imported.from_block} to {imported.to_block}",
        )
        result = reconcile(self.ledger, url)
        self.say(
            f"reconcile --rpc {url}",
            f"{result.matched} matched, {len(result.findings)} findings",
        )
        return len(result.findings)

    def _prove(self, url: str, contract: bytes) -> bool:
        batch = read_batch(decode(self._batch_file(self.directory / "export").read_bytes()))
        entry = batch.entries[len(batch.entries) // 2]
        proof = prove(self.ledger, entry.id)
        path = self.directory / "proof.json"
        path.write_bytes(encode(proof_to_json(proof)))
        self.say(
            f"prove {to_hex(entry.id)} -o {path.name}",
            f"{len(proof.path)} hashes lead from entry {entry.seq} to the root of batch "
            f"{proof.header.number}",
        )
        report = verify(path, Anchors(rpc_url=url, contract=contract))
        verified = report.consistent and report.anchored
        self.say(
            f"verify {path.name} --rpc {url} --contract {to_checksum(contract)}",
            f"VERIFIED by {report.anchors[0]}" if verified else "NOT VERIFIED",
        )
        return verified

    @staticmethod
    def _batch_file(export_path: Path) -> Path:
        return export_path / "batches" / "00000001.json"

    def _alter_an_export(self) -> bool:
        """Fraud 1: somebody adds one unit of money to one entry of an exported batch."""
        forged = self.directory / "forged-export"
        shutil.copytree(self.directory / "export", forged)
        path = self._batch_file(forged)
        document = decode(path.read_bytes())
        entry = document["entries"][len(document["entries"]) // 2]
        entry["value"] = str(int(entry["value"]) + 10**DECIMALS)
        path.write_bytes(encode(document))
        report = verify(forged, Anchors(signer=self.signer.address))
        self.say(
            f"fraud 1: entry {entry['seq']} of a copied export gets one {SYMBOL} more; "
            f"verify {forged.name}",
            _caught(report.findings),
        )
        return not report.consistent

    def _alter_the_chain(self, url: str, contract: bytes) -> bool:
        """Fraud 2: somebody lifts one balance on the chain, without any Transfer log."""
        batch = read_batch(decode(self._batch_file(self.directory / "export").read_bytes()))
        victim = batch.entries[0].to_address
        with Rpc(url) as rpc:
            params = [hex_data(victim), hex_data(contract), hex(10**30)]
            rpc.call("anvil_dealERC20", params)
            rpc.call("anvil_mine", [hex(_FINALITY_BLOCKS)])
        ingest(self.ledger, url)
        result = reconcile(self.ledger, url)
        self.say(
            f"fraud 2: the balance of {to_checksum(victim)} is lifted on the chain without a "
            "log; reconcile",
            _caught(result.findings),
        )
        return bool(result.findings)


def _caught(findings: list[Finding]) -> str:
    if not findings:
        return "NOT CAUGHT"
    kinds = ", ".join(sorted({finding.kind for finding in findings}))
    return f"CAUGHT: {kinds}"
