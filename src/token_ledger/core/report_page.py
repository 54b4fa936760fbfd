"""A reconciliation as one HTML page that needs nothing else: no script, font or image. Pure.

Every value passes `_text`, which escapes it and shows what would turn a line around; and the page's
own policy forbids whatever might slip through all the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from token_ledger.core import charts
from token_ledger.core.address import to_checksum
from token_ledger.core.comparison import ReconcileResult
from token_ledger.core.counting import counted
from token_ledger.core.findings import TERMS
from token_ledger.core.hashing import sha256
from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.report_style import STYLE
from token_ledger.core.shown import printable
from token_ledger.core.strict import to_hex
from token_ledger.core.types import Finding, Token

FINDINGS_SHOWN_MAX = 1_000
"""So many are in the page, and as many acknowledged ones; JSON Lines hold all."""
_SIDES = ("ledger", "transfers", "chain", "stored", "difference")
_WHERE = ("block", "block_hash", "tx", "log_index")
_AMOUNTS = ("held", "claimed")
_SAID_ABOVE = ("contract",)
_ID_DIGITS_SHOWN = 12
_POLICY = (
    "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """What the page tells: a result, of which token, when; `texts`: also who acknowledged, why."""

    result: ReconcileResult
    token: Token
    now: int
    texts: bool = False

    def render(self) -> str:
        """Return the whole document."""
        title = f"Reconciliation of {printable(self.token.symbol)}"
        digest = base64.b64encode(sha256(STYLE.encode())).decode()
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(digest)}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="referrer" content="no-referrer">\n'
            f"<title>{_text(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
            f"{self._header(title)}\n<main>\n{self._figures()}\n{self._charts()}\n"
            f"{self._findings()}\n{self._acknowledged()}\n</main>\n{self._footer()}\n"
            "</body></html>\n"
        )

    # --- what it is about

    def _header(self, title: str) -> str:
        result = self.result
        block = "no node was asked: books and mirror alone"
        if result.block is not None and result.block_hash is not None:
            block = f"{result.block}, {to_hex(result.block_hash)}"
        pairs = [
            ("Token", f"{self.token.name} ({self.token.symbol}, {self.token.decimals} decimals)"),
            ("Contract", to_checksum(result.contract)),
            ("Chain", result.chain_id),
            ("Pinned block", block),
            ("Compared", _scope(result)),
            ("Made", format_timestamp(self.now)),
        ]
        about = "".join(f"<dt>{_text(n)}</dt><dd>{_text(v)}</dd>" for n, v in pairs)
        return (
            f'<header><h1>{_text(title)}</h1><p class="soft">Books, mirror and chain, held against '
            f'each other one to one.</p><dl class="about">{about}</dl>{self._verdict()}</header>'
        )

    def _verdict(self) -> str:
        result = self.result
        known = counted(result.acknowledged_total, "finding")
        if result.findings_total:
            name, head = "bad", f"{counted(result.findings_total, 'finding')} open"
            rest = "Each is told below, with what it probably means and what to do."
            if result.acknowledged_total:
                rest += f" A further {known} acknowledged."
        elif result.acknowledged_total:
            name, head = "wait", "Nothing open"
            rest = f"{known} acknowledged, listed apart: known differences, and no agreement."
        else:
            name, head = "good", "Everything agrees"
            rest = "No difference was found in what was compared."
        return (
            f'<p class="verdict {name}" id="verdict" role="status"><strong>{_text(head)}</strong>'
            f"{_text(rest)}</p>"
        )

    def _figures(self) -> str:
        result = self.result
        cells: list[tuple[str, str, int, str]] = [
            ("matched", "Matched", result.matched, f"of {result.entries:,} entries"),
            ("headers", "Batch headers", result.headers, "with their roots"),
            ("balances", "Balances", result.balances, "by the contract"),
            ("unreplayed", "Not replayed", result.unreplayed, "sealed entries"),
            ("unsealed", "Not sealed", result.unsealed, "entries"),
            ("findings", "Findings", result.findings_total, "open"),
            ("acknowledged", "Acknowledged", result.acknowledged_total, "listed apart"),
        ]
        followed = [
            ("imported", "Imported", result.imported, "entries of the chain"),
            ("pending", "Not imported", result.pending, "transfers that wait"),
            ("bridge-mints", "Bridge mints", result.bridge_mints, "imported"),
            ("bridge-burns", "Bridge burns", result.bridge_burns, "imported"),
        ]
        if any(number for _, _, number, _ in followed):
            cells[1:1] = followed
        shown = "".join(
            f"<div><dt>{_text(what)}</dt>"
            f'<dd><data id="{name}" value="{number}">{number:,}</data>'
            f"<small>{_text(of)}</small></dd></div>"
            for name, what, number, of in cells
        )
        return (
            '<section aria-labelledby="sum"><h2 id="sum">Summary</h2>'
            f'<dl class="figures">{shown}</dl></section>'
        )

    # --- over time

    def _charts(self) -> str:
        timeline = self.result.timeline
        if timeline is None:
            return ""
        decimals, symbol = self.token.decimals, printable(self.token.symbol)
        keys = '<span class="key">matched</span><span class="key not">not matched</span>'
        rows = [
            (
                charts.period_label(timeline.start + i * timeline.step, timeline.step),
                format_amount(same, decimals=decimals),
                format_amount(other, decimals=decimals),
            )
            for i, (same, other) in enumerate(
                zip(timeline.matched, timeline.unmatched, strict=True)
            )
        ]
        head = ["From (UTC)", f"Matched, {symbol}", f"Not matched, {symbol}"]
        return (
            '<section aria-labelledby="time"><h2 id="time">Matched value over time</h2>'
            '<p class="soft">By the dates of the entries that were compared.</p>'
            f"<figure><figcaption>Moved in each period, {_text(symbol)}{keys}</figcaption>"
            f"{charts.bars(timeline, decimals=decimals, symbol=symbol)}</figure>"
            f"<figure><figcaption>Moved in all, {_text(symbol)}{keys}</figcaption>"
            f"{charts.areas(timeline, decimals=decimals)}</figure>"
            f"<details><summary>The figures</summary>{_table(head, rows)}</details></section>"
        )

    # --- what differs

    def _findings(self) -> str:
        result = self.result
        if not result.findings_total:
            return ""
        shown = result.findings[:FINDINGS_SHOWN_MAX]
        kinds: dict[str, list[Finding]] = {}
        for finding in shown:
            kinds.setdefault(finding.kind, []).append(finding)
        groups = "".join(self._kind(kind, of) for kind, of in sorted(kinds.items()))
        left = result.findings_total - len(shown)
        more = f"<p>And {left:,} more, which --jsonl lists.</p>" if left else ""
        return (
            f'<section aria-labelledby="found"><h2 id="found">Findings</h2>{groups}{more}</section>'
        )

    def _kind(self, kind: str, of: Sequence[Finding]) -> str:
        terms = TERMS[kind]
        total = self.result.kinds.get(kind, len(of))
        rows = "".join(self._row(finding) for finding in of)
        return (
            f'<article class="kind" data-kind="{_text(kind)}" data-count="{total}"><header>'
            f"<h3><code>{_text(kind)}</code><span>{counted(total, 'finding')}</span></h3>"
            f"<p>{_sentence(terms.meaning)}</p>"
            f'<p class="soft">What to do: {_with_code(terms.advice)}.</p></header>'
            f'<div class="scroll"><table><thead><tr><th scope="col">What</th>'
            f'<th scope="col">Both sides</th><th scope="col">Where</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div></article>"
        )

    def _row(self, finding: Finding, *, name: str = "finding") -> str:
        result, details = self.result, finding.details
        finding_id = result.id_of(finding)
        about = {
            key: self._amount(value) if key in _AMOUNTS else value
            for key, value in details.items()
            if key not in (*_SIDES, *_WHERE, *_SAID_ABOVE)
        }
        notes = [f"<p>{_sentence(finding.message)}</p>", *self._notes(finding, finding_id)]
        what = _list([("id", to_hex(finding_id)[: 2 + _ID_DIGITS_SHOWN]), *about.items()])
        sides = _list(
            (key, self._side(key, details[key])) for key in _SIDES if key in details
        )  # fmt: skip
        where = _list((key, details[key]) for key in _WHERE if details.get(key) is not None)
        return (
            f'<tr class="{name}" id="{name}-{finding_id.hex()}">'
            f"<td>{''.join(notes)}{what}</td><td>{sides}</td><td>{where}</td></tr>"
        )

    def _notes(self, finding: Finding, finding_id: bytes) -> Iterable[str]:
        """Yield how old it is, and what was said of it."""
        result = self.result
        if (seen := result.first_seen.get(finding_id)) is not None:
            yield f'<p class="soft">First seen {_text(format_timestamp(seen))}.</p>'
        word = result.known.by_id.get(finding_id)
        if word is None:
            return
        until = "" if word.until is None else f" until {format_timestamp(word.until)}"
        said = f"Acknowledged {format_timestamp(word.created_at)}{until}."
        if self.texts:
            said += f" By {word.acknowledged_by or '(erased)'}: {word.reason or '(erased)'}."
        if ended := result.known.ended(finding_id, finding):
            said += f" It counts no more: {ended}."
        yield f'<p class="soft">{_text(said)}</p>'

    def _side(self, key: str, value: Any) -> object:
        """Return one side of a difference, base units as amounts."""
        if isinstance(value, dict):
            return {k: self._amount(v) if k == "value" else v for k, v in value.items()}
        drift = key in ("difference", "stored", "transfers") or isinstance(value, str)
        return self._amount(value) if drift and _is_number(value) else value

    def _amount(self, value: object) -> str:
        human = format_amount(int(str(value)), decimals=self.token.decimals)
        return f"{human} {self.token.symbol}"

    def _acknowledged(self) -> str:
        result = self.result
        if not result.acknowledged_total:
            return ""
        shown = result.acknowledged[:FINDINGS_SHOWN_MAX]
        rows = "".join(self._row(finding, name="known") for finding in shown)
        return (
            '<section aria-labelledby="known"><h2 id="known">Acknowledged</h2>'
            "<p>These differ still. They come back among the findings when their figures change or "
            'their time is over.</p><div class="kind"><div class="scroll"><table><thead><tr>'
            '<th scope="col">What</th><th scope="col">Both sides</th><th scope="col">Where</th>'
            f"</tr></thead><tbody>{rows}</tbody></table></div></div></section>"
        )

    def _footer(self) -> str:
        return (
            "<footer>Made by token-ledger. It holds addresses, hashes and amounts, and names no "
            "account. What reconciling does not prove is in the project's limits page.</footer>"
        )


def _scope(result: ReconcileResult) -> str:
    scope = result.scope
    if result.point is not None:
        return f"what came after block {result.point.next_block - 1}, compared in run " + str(
            result.point.run_no
        )
    if scope.whole:
        return "everything"
    last = "the last one" if scope.to_block is None else scope.to_block
    told = f"blocks {scope.from_block} to {last}"
    return told if scope.as_of is None else f"as of block {scope.as_of}, {told}"


def _text(value: object) -> str:
    return escape(printable(value), quote=True)


def _sentence(text: str) -> str:
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    whole = text[:1].upper() + text[1:] if first.islower() else text
    return _with_code(whole if whole.endswith((".", "?")) else f"{whole}.")


def _with_code(text: str) -> str:
    """Return text with what stands between backticks as code."""
    return re.sub(r"`([^`<>]+)`", r"<code>\1</code>", _text(text))


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value.removeprefix("-").isdecimal()


def _list(pairs: Iterable[tuple[str, object]]) -> str:
    """Return names and values; what is missing is said to be."""
    items = []
    for name, value in pairs:
        shown = (
            '<span class="none">none</span>' if value is None else f"<code>{_text(value)}</code>"
        )
        if isinstance(value, dict):
            shown = _list(value.items())
        items.append(f"<dt>{_text(name.replace('_', ' '))}</dt><dd>{shown}</dd>")
    return f"<dl>{''.join(items)}</dl>" if items else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(
        f'<th scope="col"{" class=number" if i else ""}>{_text(title)}</th>'
        for i, title in enumerate(head)
    )
    body = "".join(
        f'<tr><th scope="row">{_text(first)}</th>'
        + "".join(f'<td class="number">{_text(cell)}</td>' for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
