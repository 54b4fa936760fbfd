"""What every command shares: its settings, the open ledger, and one way to answer.

Options before and after the command's name mean the same: `token-ledger --json balance alice` is
`token-ledger balance alice --json`.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.screen import Screen
from token_ledger.core.address import parse_address
from token_ledger.errors import UsageError

if TYPE_CHECKING:
    from token_ledger.ledger import Ledger

    BytesType = click.ParamType[bytes]
    StrType = click.ParamType[str]
else:
    BytesType = StrType = click.ParamType  # generic only in newer releases of click

DEFAULT_DB = "sqlite:///token_ledger.db"
_NEGATIVE = re.compile(r"-\.?[0-9].*", re.ASCII)
_BETWEEN_URLS = re.compile(r"\s+|,(?=\s*(?:https?|wss?)://)")
_HEX32 = re.compile(r"(?:0x)?[0-9a-fA-F]{64}", re.ASCII)

View = Callable[[Screen], None]


@dataclass
class App:
    """The settings of one run."""

    db: str = DEFAULT_DB
    token: str | None = None
    secret_file: str | None = None
    json: bool = False

    def open_ledger(self) -> Ledger:
        """Open the ledger that `--db` names, on the token that `--token` names."""
        from token_ledger.ledger import Ledger

        return Ledger.open(self.db, token=self.token, secret_file=self.secret_file)

    def answer(self, document: Mapping[str, Any], view: View) -> None:
        """Print the result: one JSON document with `--json`, else what `view` draws."""
        if self.json:
            print_json(document)
        else:
            view(Screen())


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def beside_database(db: str, suffix: str) -> Path:
    """Return the path of a file that belongs to a database: beside a SQLite file, else here."""
    from token_ledger.ledger.engine import parse_database_url

    url = parse_database_url(db)
    name = Path(str(url.database or "token_ledger"))
    folder = name.parent if url.get_backend_name() == "sqlite" else Path()
    return folder / f"{name.name}{suffix}"


# Options that every command takes, shown in the help of the whole.


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        app = ctx.find_object(App)
        if value not in (None, False) and app is not None:
            setattr(app, name, value)

    return callback


def _shared_options() -> list[click.Parameter]:
    return [
        click.Option(["--db"], hidden=True, expose_value=False, callback=_set("db")),
        click.Option(["--token"], hidden=True, expose_value=False, callback=_set("token")),
        click.Option(
            ["--secret-file"], hidden=True, expose_value=False, callback=_set("secret_file")
        ),
        click.Option(
            ["--json"], is_flag=True, hidden=True, expose_value=False, callback=_set("json")
        ),
    ]


def _add_shared_options(command: click.Command) -> None:
    own = {name for parameter in command.params for name in parameter.opts}
    command.params += [p for p in _shared_options() if not own & set(p.opts)]


class LedgerCommand(click.Command):
    """A command that takes the shared options as well, and negative numbers as arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _add_shared_options(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, taking `-5` for a number: the ledger, not the parser, says what is wrong."""
        if any(map(_NEGATIVE.fullmatch, args)):
            ctx.ignore_unknown_options = True
        return super().parse_args(ctx, args)


class LedgerGroup(click.Group):
    """A group of such commands; a misspelt name is answered with the nearest."""

    command_class = LedgerCommand

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _add_shared_options(self)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one it may have been."""
        name = args[0] if args else ""
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1, cutoff=0.7)
            path = ctx.command_path
            hint = f"did you mean {path} {near[0]}?" if near else f"see {path} --help"
            raise UsageError(f"no such command: {name!r}", hint=hint)
        return super().resolve_command(ctx, args)


pass_app = click.make_pass_decorator(App)


# Values.


class AddressType(BytesType):
    """An address, its checksum proved."""

    name = "address"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> bytes:
        """Return 20 bytes."""
        return value if isinstance(value, bytes) else parse_address(value)


class Hash32Type(BytesType):
    """32 bytes of hexadecimal."""

    name = "hex32"

    def convert(
        self, value: Any, param: click.Parameter | None, _ctx: click.Context | None
    ) -> bytes:
        """Return 32 bytes."""
        if isinstance(value, bytes):
            return value
        if not _HEX32.fullmatch(value):
            what = param.human_readable_name if param is not None else "hash"
            raise UsageError(
                f"{what} {value[:100]!r} is not 32 bytes", hint="0x and 64 hexadecimal digits"
            )
        return bytes.fromhex(value.removeprefix("0x"))


ADDRESS = AddressType()
HASH32 = Hash32Type()
FILE = click.Path(path_type=Path)


class NodeType(StrType):
    """The URL of a node. An environment variable holds several, by white space or commas."""

    name = "url"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> str:
        """Return the URL as it is given: it may hold secrets, and is judged where it is used."""
        return str(value)

    def split_envvar_value(self, rv: str) -> list[str]:
        """Return the URLs of an environment variable."""
        return split_urls(rv)


def split_urls(text: str) -> list[str]:
    """Return the URLs in a text, by white space or by commas before another one's scheme."""
    return [url for url in _BETWEEN_URLS.split(text.strip()) if url]


def _first_node(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Return the first node of several that the environment names, WebSockets left out."""
    return next(iter(nodes_of(split_urls(value or ""))), None)


rpc_option = click.option(
    "--rpc",
    "rpc_url",
    metavar="URL",
    envvar="TOKEN_LEDGER_RPC_URL",
    show_envvar=True,
    callback=_first_node,
    help="The node: http:// or https://. Of several in the variable, the first.",
)

rpcs_option = click.option(
    "--rpc",
    "rpc_urls",
    metavar="URL",
    type=NodeType(),
    envvar="TOKEN_LEDGER_RPC_URL",
    show_envvar=True,
    multiple=True,
    help="A node: http:// or https://. Several of one chain: the next is asked when one fails.",
)


allow_code_option = click.option(
    "--allow-code",
    type=HASH32,
    metavar="HEX32",
    multiple=True,
    help="Accept a contract whose code has this keccak, though no release of ours has it.",
)


def nodes_of(rpc_urls: Sequence[str]) -> list[str]:
    """Return the nodes' URLs, those that only wake an import up left out beside others."""
    nodes = [url for url in rpc_urls if not url.lower().startswith(("ws:", "wss:"))]
    return nodes or list(rpc_urls)


def need_rpcs(rpc_urls: tuple[str, ...]) -> tuple[str, ...]:
    """Return the nodes' URLs, or say where they come from."""
    need_rpc(" ".join(rpc_urls))
    return rpc_urls


def need_rpc(rpc_url: str | None) -> str:
    """Return the node's URL, or say where it comes from."""
    if not rpc_url:
        raise UsageError("no node is named", hint="give --rpc URL, or set TOKEN_LEDGER_RPC_URL")
    return rpc_url


__all__ = [
    "ADDRESS",
    "FILE",
    "HASH32",
    "App",
    "LedgerCommand",
    "LedgerGroup",
    "View",
    "allow_code_option",
    "beside_database",
    "need_rpc",
    "need_rpcs",
    "nodes_of",
    "pass_app",
    "print_json",
    "rpc_option",
    "rpcs_option",
]
