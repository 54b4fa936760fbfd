"""The pages as tests read them: their code blocks, and transcripts run again.

    ```console          lines after `$ ` are typed, in one shell, in order; others are its answer
    ```python           runs as it stands, in order, on one page in one namespace
    ```csv books.csv    any block with a file name: the file, before the first command

`python -m tests.docs_text docs/x.md` writes the answers of a page's transcripts anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
RPC_URL = "http://127.0.0.1:8545"
"""The node of the pages; transcripts are run against another one."""
_STEP = "\x1e"


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced code blocks of a language."""
    return re.findall(rf"```{re.escape(language)}\n(.*?)```", text, re.DOTALL)


def files(text: str) -> dict[str, str]:
    """Return the blocks that carry a file name, by that name."""
    return dict(re.findall(r"```\w+ ([\w.-]+\.\w+)\n(.*?)```", text, re.DOTALL))


def page(name: str) -> str:
    """Return the text of a page."""
    return (PROJECT / name).read_text(encoding="utf-8")


def without_chance(text: str) -> str:
    """Return a transcript without what differs from run to run: hashes, ports, directories."""
    text = re.sub(r"0x[0-9a-fA-F]{40,}", "0x…", text)
    # A leaf's depth depends on where its hash falls among the others, in a tree that is not full.
    text = re.sub(r"\d+ (hashes|nodes)", r"… \1", text)
    text = re.sub(r"[0-9,]+ gas", "… gas", text)  # an address's zero bytes cost less
    text = re.sub(r"(gas(?:_used)?\"?:? +)[0-9,]+", r"\1…", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:…", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "<now>", text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>", text)
    # Tables are as wide as the hashes in them.
    text = re.sub(r"(?<=\S) {2,}", "  ", text)
    return re.sub(r"\nits files: .*\n", "\n", text)


def commands(block: str) -> list[tuple[str, str]]:
    """Return what is typed in a console block, each with the answer that it shows."""
    steps: list[tuple[str, str]] = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append((line[2:].rstrip("\n"), ""))
        elif steps and steps[-1][0].endswith("\\"):
            steps[-1] = (f"{steps[-1][0]}\n{line.rstrip()}", "")
        else:
            typed, shown = steps.pop()
            steps.append((typed, shown + line))
    return steps


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a transcript: this project's programs, nobody's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TOKEN_LEDGER_", "ETH_"))}
    programs = [Path(sys.executable).parent, *_native_tools(), os.environ["PATH"]]
    return {**kept, "PATH": ":".join(map(str, programs)), "LC_ALL": "C.UTF-8", **more}


def _native_tools() -> Iterator[Path]:
    """Yield where npm has cast itself: the wrapper beside it is one more Node process a call."""
    modules = PROJECT / "contracts" / "node_modules"
    yield from sorted(path.parent for path in modules.glob("@foundry-rs/cast-*/bin/cast"))
    yield modules / ".bin"


def answers(typed: list[str], *, cwd: Path, env: Mapping[str, str]) -> list[str]:
    """Type commands into one shell, and return what each one printed on both streams."""
    script = "".join(f"printf '{_STEP}'\n{command}\n" for command in typed)
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=dict(env),
        timeout=600,
    )
    return done.stdout.split(_STEP)[1:]


def run(text: str, *, cwd: Path, env: Mapping[str, str], rpc_url: str | None = None) -> list[str]:
    """Lay out a page's files, type all of its console blocks, and return the answers."""
    for name, content in files(text).items():
        (cwd / name).write_text(content, encoding="utf-8")
    typed = [command for block in blocks(text, "console") for command, _ in commands(block)]
    return answers([c.replace(RPC_URL, rpc_url or RPC_URL) for c in typed], cwd=cwd, env=env)


def check(text: str, **where: object) -> None:
    """Run a page's transcripts, and assert that each command answers what the page shows."""
    shown = [step for block in blocks(text, "console") for step in commands(block)]
    actual = run(text, **where)  # type: ignore[arg-type]
    for (typed, expected), answer in zip(shown, actual, strict=True):
        assert without_chance(expected) == without_chance(answer), f"$ {typed}"


def rewritten(text: str, **where: object) -> str:
    """Return a page with its transcripts' answers as they are now, hashes left out.

    An answer that differs by chance alone is left as it stands.
    """
    actual = iter(run(text, **where))  # type: ignore[arg-type]

    def answer(block: re.Match[str]) -> str:
        lines = []
        for typed, shown in commands(block.group(1)):
            told = next(actual)
            same = without_chance(shown) == without_chance(told)
            lines.append(f"$ {typed}\n{shown if same else _abridged(told)}")
        return f"```console\n{''.join(lines)}```"

    return re.sub(r"```console\n(.*?)```", answer, text, flags=re.DOTALL)


def _abridged(text: str) -> str:
    text = re.sub(r"127\.0\.0\.1:\d+", RPC_URL.removeprefix("http://"), text)
    shorter = re.sub(r"0x[0-9a-fA-F]{40,}", "0x…", text)
    if shorter == text or not text.startswith("check "):
        return shorter
    rows = [re.split(r" {2,}", line) for line in shorter.splitlines()]
    widths = [max(len(row[i]) for row in rows if len(row) > 1) for i in range(2)]
    return "".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row[:2], widths, strict=False)), *row[2:]]).rstrip()
        + "\n"
        for row in rows
    )


def main() -> None:
    """Write the answers of the pages named, on a chain of its own."""
    from tests.docs_scenes import scene

    for name in sys.argv[1:]:
        path = Path(name)
        with scene(path.name) as where:
            text = rewritten(path.read_text(encoding="utf-8"), **where)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
