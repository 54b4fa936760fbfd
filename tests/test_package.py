"""What users get: the public names, and the wheel by itself, away from any checkout."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import token_ledger
from token_ledger.cli.program import cli

PUBLIC = [
    "Account",
    "AsyncLedger",
    "Awarded",
    "BalanceAt",
    "Batch",
    "EarningRule",
    "Entry",
    "Finding",
    "Header",
    "Ledger",
    "Posted",
    "Proof",
    "Record",
    "StatementPage",
    "Statistics",
    "StoredEntry",
    "StoredToken",
    "Supply",
    "Texts",
    "Token",
    "TokenLedgerError",
    "TokenTerms",
    "Transfer",
    "errors",
    "upgrade",
]
# Commands that are methods of `Ledger`, or made of several.
OF_THE_LEDGER = {
    "limit overdraft": "limit_overdraft",
    "overdraft list": "debtors",
    "overdraft write-off": "write_off",
    "finding acknowledge": "acknowledge_finding",
    "finding list": "findings",
    "finding withdraw": "withdraw_acknowledgement",
    "capture": "capture",
    "hold": "hold",
    "holds expire": "expire_holds",
    "holds list": "holds",
    "holds show": "get_hold",
    "feed": "feed",
    "recalc": "recalc",
    "redact": "redact",
    "release": "release",
    "account close": "close_account",
    "account freeze": "freeze_account",
    "account unfreeze": "unfreeze_account",
    "limit balance": "limit_balance",
    "limit spending": "limit_spending",
    "reverse": "reverse",
    "account create": "create_account",
    "account list": "accounts",
    "account show": "get_account",
    "balance": "get_balance",
    "burn": "burn",
    "credit": "credit",
    "debit": "debit",
    "award": "award",
    "entries": "get_entries",
    "entry show": "get_entry",
    "rule list": "rules",
    "rule retire": "retire_rule",
    "rule set": "set_rule",
    "rule show": "get_rule",
    "history": "get_history",
    "init": "create",
    "mint": "mint",
    "seed": "seed_accounts",
    "spend": "spend",
    "statement": "get_statement",
    "stats": "get_statistics",
    "supply": "get_supply",
    "token create": "create_token",
    "token list": "tokens",
    "transfer": "transfer",
}
OF_THEIR_OWN_MODULE = {
    "account claim": "claim",
    "anchor": "anchor",
    "broadcast": "broadcast",
    "check": "check",
    "demo": "demo",
    "export": "export",
    "import": "ingest",
    "load": "load",
    "migrate": "migrate",
    "move": "move",
    "prove": "prove",
    "reconcile": "reconcile",
    "seal": "seal",
    "sign": "sign",
    "status": "status",
    "verify": "verify",
}
OF_A_MODULE = {
    "sign-offline": ("compose", "sign_file"),
    "snapshot claim": ("snapshot", "claim"),
    "snapshot publish": ("snapshot", "publish"),
    "snapshot reopen": ("snapshot", "reopen"),
    "snapshot sweep": ("snapshot", "sweep"),
    "snapshot take": ("snapshot", "take"),
}
# Commands that serve the API: no verbs of the books.
OF_THE_SERVER = {"serve", "key create", "key list", "key revoke"}


def test_the_public_names_are_frozen() -> None:
    """The package exports exactly these names, sorted, and every one of them is there."""
    assert PUBLIC == token_ledger.__all__
    assert sorted(PUBLIC) == PUBLIC
    assert all(getattr(token_ledger, name).__doc__ for name in PUBLIC)
    assert set(PUBLIC) <= set(dir(token_ledger))


def test_other_names_are_not_there() -> None:
    """A name that is not public raises AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="nonsense"):
        token_ledger.nonsense  # noqa: B018


def test_every_verb_is_a_command_and_a_function() -> None:
    """Each command is one function of the Python API under the same name, and documented."""
    commands = {
        f"{name} {inner}" if inner else name
        for name, command in cli.commands.items()
        for inner in (getattr(command, "commands", None) or [""])
    }
    known = {*OF_THE_LEDGER, *OF_THEIR_OWN_MODULE, *OF_A_MODULE, *OF_THE_SERVER, "upgrade"}
    assert commands == known
    for method in OF_THE_LEDGER.values():
        assert getattr(token_ledger.Ledger, method).__doc__
    for verb in OF_THEIR_OWN_MODULE.values():
        assert getattr(importlib.import_module(f"token_ledger.{verb}"), verb).__doc__
    for module, function in OF_A_MODULE.values():
        assert getattr(importlib.import_module(f"token_ledger.{module}"), function).__doc__


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as a release does, but with the build tools that are pinned here."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run(
        [*command, str(project)], capture_output=True, text=True, check=False, cwd=out
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment of its own; return its folder of commands.

    The libraries are those of the development environment, which are pinned; nothing is fetched.
    """
    root = tmp_path_factory.mktemp("installed")
    venv.create(root, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = root / "lib" / version / "site-packages"
    install = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run(
        [*install, "--no-index", "--no-deps", "--target", str(site), str(wheel)], check=True
    )
    # A .pth file is read after the folder itself, so the wheel's own package comes first; the
    # libraries' own .pth files, the checkout's among them, are not read.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    script = root / "bin" / "token-ledger"
    script.write_text(
        f"#!{root / 'bin' / 'python'}\n"
        "import sys\nfrom token_ledger.cli import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    return root / "bin"


def _run(bin_path: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "TOKEN_LEDGER", "VIRTUAL_ENV"))
    }
    return subprocess.run(
        [str(bin_path / words[0]), *words[1:]],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_ships_what_it_needs(wheel: Path, project: Path) -> None:
    """Migrations and contract artifacts are inside; tests, contracts and the checkout are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (project / "migrations").rglob("*.py"):
        inside = f"token_ledger/migrations/{path.relative_to(project / 'migrations').as_posix()}"
        assert inside in names
    artifacts = project / "src" / "token_ledger" / "chain" / "artifacts"
    for path in artifacts.glob("*.json"):
        assert f"token_ledger/chain/artifacts/{path.name}" in names
    assert "token_ledger/py.typed" in names
    assert {"token_ledger", f"token_ledger-{_version(wheel)}.dist-info"} == {
        name.split("/")[0] for name in names
    }


def _version(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def test_the_wheel_works_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    """The installed command makes a ledger, posts, seals, exports, proves and verifies."""
    where = _run(installed, tmp_path, "python", "-c", "import token_ledger as t; print(t.__file__)")
    assert where.stdout.startswith(str(installed.parent)), where.stderr
    steps = [
        ("init", "--symbol", "TKN", "--name", "Token", "--decimals", "18"),
        ("account", "create", "alice", "--initial", "1000"),
        ("mint", "alice", "2.5", "--reason", "award"),
        ("seal", "--sign"),
        ("export", "export"),
        ("verify", "export", "--unanchored"),
        ("status",),
        ("upgrade",),
    ]
    for step in steps:
        done = _run(installed, tmp_path, "token-ledger", *step)
        assert 0 == done.returncode, done.stdout + done.stderr
    done = _run(installed, tmp_path, "token-ledger", "balance", "alice")
    assert "1002.5 TKN\n" == done.stdout


def test_the_wheel_reaches_the_chain(installed: Path, tmp_path: Path, fresh_anvil: str) -> None:
    """The installed command deploys from the artifacts that it carries, and reconciles."""
    rpc = ("--rpc", fresh_anvil)
    steps = [
        ("init", "--symbol", "TKN", "--name", "Token", "--decimals", "18"),
        ("account", "create", "alice", "--initial", "1000"),
        ("seal", "--sign"),
        ("migrate", *rpc),
        ("import", *rpc),
        ("reconcile", *rpc),
    ]
    for step in steps:
        done = _run(installed, tmp_path, "token-ledger", *step)
        assert 0 == done.returncode, done.stdout + done.stderr
