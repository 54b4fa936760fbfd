"""The report, looked at by a real browser: it stands alone, says what the JSON says, runs nothing.

The page is made from a reconciliation on real engines and a real chain; hostile values come from a
token that was created with them.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.browser import Tab, tab
from tests.onchain import ENTRIES, SMALL, sql

from token_ledger.core.charts import areas, bars, compact
from token_ledger.core.comparison import ReconcileResult
from token_ledger.core.report_page import Page
from token_ledger.core.timeline import DAY, PERIODS_MAX, Timeline, plan
from token_ledger.core.types import Finding, Token
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.reconcile import Scope, reconcile
from token_ledger.report import write_html
from token_ledger.seal import seal
from token_ledger.sign import sign

NAME = '</title><img src="http://127.0.0.1:9/x" onerror="alert(1)"><script>alert(2)</script>'
TURNED = "T\u202eNKT"


@pytest.fixture
def ledger(database_url: str, tmp_path: Path, fresh_anvil: str) -> Iterator[Ledger]:
    """Yield a ledger that is migrated and imported, on each engine."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, ENTRIES)
        seal(ledger, gas_max=SMALL)
        sign(ledger, books.operator())
        migrate(ledger, fresh_anvil)
        ingest(ledger, fresh_anvil)
        yield ledger


@pytest.fixture(scope="module")
def chromium() -> Iterator[Tab]:
    """Yield a page of a browser."""
    with tab() as page:
        yield page


def pixels(png: bytes) -> set[bytes]:
    """Return the colours of every eighth row of an 8-bit RGB picture, filters undone."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, head = 8, b"", b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IHDR":
            head = png[at + 8 : at + 8 + size]
        elif kind == b"IDAT":
            data += png[at + 8 : at + 8 + size]
        at += size + 12
    width, height, depth, colour = struct.unpack(">IIBB", head[:10])
    assert depth == 8
    wide = {2: 3, 6: 4}[colour]
    raw, line, found = zlib.decompress(data), bytearray(width * wide), set()
    for row in range(height):
        start = row * (width * wide + 1)
        line = _unfiltered(raw[start], raw[start + 1 : start + 1 + width * wide], line, wide)
        if row % 8 == 0:
            found |= {bytes(line[i : i + 3]) for i in range(0, len(line), 8 * wide)}
    return found


def _unfiltered(kind: int, row: bytes, above: bytearray, wide: int) -> bytearray:
    line = bytearray(row)
    for i in range(len(line)):
        left = line[i - wide] if i >= wide else 0
        up = above[i]
        corner = above[i - wide] if i >= wide else 0
        if kind == 4:
            nearest = left + up - corner
            distances = (abs(nearest - left), abs(nearest - up), abs(nearest - corner))
            add = (left, up, corner)[distances.index(min(distances))]
        else:
            add = (0, left, up, (left + up) // 2)[kind]
        line[i] = (line[i] + add) & 255
    return line


def write(path: Path, ledger: Ledger, result: ReconcileResult, *, texts: bool = False) -> str:
    """Write the page of a result and return its text."""
    write_html(path, result, ledger.token, now=ledger.now(), texts=texts)
    return path.read_text(encoding="utf-8")


def test_the_page_says_what_the_json_says(
    ledger: Ledger, fresh_anvil: str, chromium: Tab, tmp_path: Path
) -> None:
    """Counts, kinds and sentences in the browser are those of the result; nothing is fetched."""
    sql(
        ledger,
        "UPDATE chain_transfers SET value = NUM(1) WHERE seq IN (20, 21, 22)",
        "DELETE FROM chain_transfers WHERE seq = 30",
        "UPDATE chain_transfers SET seq = NULL WHERE seq = 31",
        "UPDATE token_accounts SET balance = NUM(1) WHERE account_no = 1",
    )
    first = reconcile(ledger, fresh_anvil)
    known = next(f for f in first.findings if f.details.get("seq") == 22)
    later = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    ledger.acknowledge_finding(first.id_of(known), reason="secret why", by="Grace", until=later)
    result = reconcile(ledger, fresh_anvil, timeline=True)
    path = tmp_path / "report.html"
    write(path, ledger, result)
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.open(path)
    document = result.to_json()
    for name in ("matched", "headers", "balances", "unreplayed", "unsealed"):
        assert document[name] == int(chromium.value(f"document.getElementById('{name}').value"))
    assert 6 == document["findings_total"] == chromium.value(
        "document.querySelectorAll('tr.finding').length"
    ), document["kinds"]  # fmt: skip
    assert 1 == document["acknowledged_total"] == chromium.value(
        "document.querySelectorAll('tr.known').length"
    )  # fmt: skip
    kinds = chromium.value(
        "Object.fromEntries([...document.querySelectorAll('[data-kind]')].map("
        "e => [e.dataset.kind, +e.dataset.count]))"
    )
    assert document["kinds"] == kinds
    seen = chromium.value("document.body.innerText").lower()
    told = [finding.message.lower().replace("`", "") for finding in result.findings]
    assert [] == [sentence for sentence in told if sentence not in seen]
    assert "6 findings open" in seen
    assert 2 == chromium.value("document.querySelectorAll('svg[role=img]').length")
    assert 0 < chromium.value("document.querySelectorAll('rect.unmatched').length")
    assert ([path.as_uri()], []) == (chromium.requests, chromium.complaints)


def test_the_page_is_drawn_in_every_way(
    ledger: Ledger, fresh_anvil: str, chromium: Tab, tmp_path: Path
) -> None:
    """Light, dark, on a telephone and on paper: never blank, never wider than the screen."""
    result = reconcile(ledger, fresh_anvil, timeline=True)
    path = tmp_path / "report.html"
    write(path, ledger, result)
    chromium.open(path)
    light = chromium.picture(width=1200)
    dark = chromium.picture(width=1200, scheme="dark")
    assert min(len(pixels(light)), len(pixels(dark))) > 20
    assert b"\xfb\xfb\xf9" in pixels(light) - pixels(dark)
    assert "Everything agrees" in chromium.value("document.body.innerText")
    chromium.picture(width=390)
    assert 390 >= chromium.value("document.documentElement.scrollWidth")
    assert b"%PDF" == chromium.pages()[:4]


def test_hostile_names_do_nothing(chromium: Tab, tmp_path: Path) -> None:
    """A token called like a script is text in the page: nothing runs, nothing is asked for."""
    finding = Finding("supply_drift", NAME, {"ledger": "5", "chain": NAME, NAME: {"a": NAME}})
    result = ReconcileResult(b"\1" * 20, 1)
    result.timeline = Timeline(0, DAY, [5, 6], [1, 0])
    result.add([finding])
    path = tmp_path / "report.html"
    write_html(path, result, Token(b"", b"", TURNED, NAME, 2), now=0)
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.open(path)
    assert ([path.as_uri()], []) == (chromium.requests, chromium.complaints)
    assert (0, 0) == (
        chromium.value("document.querySelectorAll('img, script, iframe, link').length"),
        chromium.value("document.querySelectorAll('[onerror]').length"),
    )
    assert NAME in chromium.value("document.querySelector('.about').innerText")
    assert r"Reconciliation of T\u202eNKT" == chromium.value("document.title")


def test_the_policy_of_the_page_forbids_what_slips_through(chromium: Tab, tmp_path: Path) -> None:
    """Script, image and style put into the finished page are refused by its own policy."""
    page = Page(ReconcileResult(b"\1" * 20, 1), Token(b"", b"", "T", "Token", 2), 0).render()
    evil = (
        "<script>document.title = 'run'</script><style>body{display:none}</style>"
        "<img src='http://127.0.0.1:9/x'><main>"
    )
    path = tmp_path / "evil.html"
    path.write_text(page.replace("<main>", evil, 1), encoding="utf-8")
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.open(path)
    assert "Reconciliation of T" == chromium.value("document.title")
    assert "block" == chromium.value("getComputedStyle(document.body).display")
    assert len(chromium.complaints) >= 3
    assert all("Content Security Policy" in said for said in chromium.complaints)


def test_the_page_names_nobody(ledger: Ledger, fresh_anvil: str, tmp_path: Path) -> None:
    """No account id, memo or acknowledger is in the file, unless the last is asked for."""
    sql(ledger, "UPDATE chain_transfers SET value = NUM(1) WHERE seq = 20")
    result = reconcile(ledger, fresh_anvil)
    later = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    ledger.acknowledge_finding(
        result.id_of(result.findings[0]), reason="secret why", by="Grace", until=later
    )
    result = reconcile(ledger, fresh_anvil, timeline=True)
    text = write(tmp_path / "report.html", ledger, result)
    private = (*books.PEOPLE, "a private word", "secret why", "Grace")
    assert [] == [word for word in private if re.search(rf"\b{word}\b", text)]
    with_texts = write(tmp_path / "report.html", ledger, result, texts=True)
    assert "secret why" in with_texts
    assert "Grace" in with_texts


def test_the_timeline_adds_up(ledger: Ledger) -> None:
    """Over all periods it is what the entries moved; an altered transfer is not matched."""
    with ledger.read() as connection:
        amounts = connection.exec_driver_sql("SELECT amount FROM token_ledger").scalars().all()
        odd = connection.exec_driver_sql(
            "SELECT amount FROM token_ledger WHERE entry_no = 21"
        ).scalar_one()

    def number(value: object) -> int:
        return int.from_bytes(value, "big") if isinstance(value, bytes) else int(str(value))

    whole = reconcile(ledger, timeline=True).timeline
    assert whole is not None
    assert (sum(map(number, amounts)), 0) == (sum(whole.matched), sum(whole.unmatched))
    sql(ledger, "UPDATE chain_transfers SET value = NUM(1) WHERE seq = 20")
    altered = reconcile(ledger, timeline=True).timeline
    assert altered is not None
    assert number(odd) == sum(altered.unmatched)
    assert sum(whole.matched) == sum(altered.matched) + sum(altered.unmatched)
    assert reconcile(ledger).timeline is None
    beyond = Scope(from_block=10_000)
    assert reconcile(ledger, scope=beyond, timeline=True).timeline is None


@pytest.mark.parametrize(
    ("first", "last", "step"),
    [
        (0, 0, 1_000_000),
        (0, 59_000_000, 1_000_000),
        (0, 60_000_000, 10_000_000),
        (DAY, 31 * DAY, DAY),
        (0, 400 * DAY, 7 * DAY),
        (0, 253_402_300_799_999_999, 365 * DAY * 137),
    ],
)
def test_periods_are_round_and_few(first: int, last: int, step: int) -> None:
    """From a second to eight thousand years there are at most 60 periods, and all are covered."""
    timeline = plan(first, last)
    count = len(timeline.matched)
    assert step == timeline.step
    assert 1 <= count <= PERIODS_MAX
    assert timeline.start <= first <= last < timeline.start + count * timeline.step


@pytest.mark.parametrize(
    ("value", "decimals", "words"),
    [
        (0, 18, "0"), (1, 0, "1"), (999, 0, "999"), (1_000, 0, "1K"), (12_345, 0, "12.3K"),
        (999_999, 0, "999K"), (1_250_000, 2, "12.5K"), (25, 2, "0.25"), (10**18, 18, "1"),
        (123 * 10**16, 18, "1.23"), (1, 18, "1e-18"), (2**256 - 1, 0, "1.1e77"),
        (15 * 10**13, 0, "150T"), (10**15, 0, "1e15"),
    ],
)  # fmt: skip
def test_figures_on_the_axes_are_short(value: int, decimals: int, words: str) -> None:
    """Base units of any size become at most a handful of characters."""
    assert words == compact(value, decimals=decimals)


def test_charts_hold_the_largest_and_the_smallest() -> None:
    """2**256 - 1 and 1 in one chart, and a chart of nothing: no number overflows the drawing."""
    for matched, unmatched in (([2**256 - 1, 1], [0, 1]), ([0], [0])):
        timeline = Timeline(0, DAY, matched, unmatched)
        for svg in (bars(timeline, decimals=18, symbol="<T>"), areas(timeline, decimals=18)):
            assert "<T>" not in svg
            assert all(
                0 <= float(number) <= 1_000
                for number in re.findall(r' (?:x|y|width|height)="([^"]+)"', svg)
            )
