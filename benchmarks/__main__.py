"""`make bench`: run the benchmarks, print the table, and keep it in docs/performance.md."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import Figure

QUESTIONS = (
    *("hashing", "load", "gas", "receipts", "imports", "path", "reconcile"),
    *("coalesce", "reads", "storage"),
)
KEPT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
START, END = "<!-- bench -->", "<!-- /bench -->"


def machine() -> str:
    """Return what the figures were taken on, without its name."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "CPU implementer")):
            model = line.split(":", 1)[1].strip()
            break
    return (
        f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def table(rows: list[tuple[str, Figure]]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| Benchmark | Question | Ours | Floor or peer | Ratio | Aim | |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for name, figure in rows:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        held = {True: "held", False: "MISSED", None: ""}[figure.held]
        lines.append(
            f"| {name} | {figure.question} | {figure.ours} | {figure.floor} "
            f"| {ratio} | {figure.aim} | {held} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the questions named, or all; `--keep` writes the table to docs/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument("--keep", action="store_true", help="write the table into the docs")
    arguments = parser.parse_args()
    chosen = arguments.questions or list(QUESTIONS)
    if unknown := sorted(set(chosen) - set(QUESTIONS)):
        parser.error(f"no such question: {', '.join(unknown)}")
    rows: list[tuple[str, Figure]] = []
    for name in chosen:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rows += [
            (name, figure) for figure in importlib.import_module(f"benchmarks.{name}").measure()
        ]
    text = f"{table(rows)}\n\nTaken on {machine()}, at {revision()}.\n"
    print(text)
    if arguments.keep:
        document = KEPT.read_text(encoding="utf-8")
        before, _, rest = document.partition(START)
        _, _, after = rest.partition(END)
        KEPT.write_text(f"{before}{START}\n\n{text}\n{END}{after}", encoding="utf-8")
    return 0


def revision() -> str:
    """Return the commit that was measured."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=KEPT.parent,
    )
    return done.stdout.strip() or "an unknown commit"


if __name__ == "__main__":
    sys.exit(main())
