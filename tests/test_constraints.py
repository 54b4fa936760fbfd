"""The pins: in step with pyproject.toml, complete with hashes, and free of addresses."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYTHONS = ("3.11", "3.12", "3.13")


def _pins(project: Path) -> dict[str, list[tuple[Requirement, int]]]:
    """Return for each package its pins (several where markers tell them apart) and hash counts."""
    pins: dict[str, list[tuple[Requirement, int]]] = {}
    text = (project / "constraints.txt").read_text().replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        words = re.split(r"\s+(?=--hash=sha256:[0-9a-f]{64}(?:\s|$))", line)
        requirement = Requirement(words[0])
        name = canonicalize_name(requirement.name)
        pins.setdefault(name, []).append((requirement, len(words) - 1))
    return pins


def _asked_for(project: Path) -> list[Requirement]:
    settings = tomllib.loads((project / "pyproject.toml").read_text())
    lists = [
        settings["project"]["dependencies"],
        settings["project"]["optional-dependencies"]["dev"],
        settings["build-system"]["requires"],
    ]
    return [Requirement(text) for names in lists for text in names]


def test_every_pin_is_exact_and_hashed(project: Path) -> None:
    """Each pin names one version and at least one hash, and no line is anything else."""
    for name, pins in _pins(project).items():
        for requirement, hashes in pins:
            assert ["=="] == [part.operator for part in requirement.specifier], name
            assert requirement.url is None, name
            assert hashes > 0, name


def test_pins_are_in_step_with_what_is_asked_for(project: Path) -> None:
    """Whatever pyproject.toml asks for is pinned, within its range, on every Python."""
    pins = _pins(project)
    for asked in _asked_for(project):
        for python in PYTHONS:
            environment = {"python_version": python, "python_full_version": f"{python}.0"}
            versions = [
                Version(next(iter(pin.specifier)).version)
                for pin, _ in pins.get(canonicalize_name(asked.name), [])
                if pin.marker is None or pin.marker.evaluate(environment)
            ]
            assert 1 == len(versions), f"{asked}: run `make lock`"
            assert asked.specifier.contains(versions[0]), f"{asked}: run `make lock`"


def test_npm_pins_are_exact_and_carry_no_address(project: Path) -> None:
    """Each npm package is pinned to one version, with its integrity and no address to get it."""
    asked = json.loads((project / "contracts" / "package.json").read_text())
    lock = json.loads((project / "contracts" / "package-lock.json").read_text())
    for group in ("dependencies", "devDependencies"):
        for name, version in asked.get(group, {}).items():
            assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
            assert version == lock["packages"][f"node_modules/{name}"]["version"]
    for name, package in lock["packages"].items():
        if name and not package.get("link"):
            # What runs on this and every other x86-64 Linux carries its hash; of Foundry's builds
            # for other systems the registry at hand gave none, and npm wants them listed.
            elsewhere = package.get("optional") and (
                package.get("os") != ["linux"] or package.get("cpu") != ["x64"]
            )
            if not (elsewhere and name.startswith("node_modules/@foundry-rs/")):
                assert package.get("integrity", "").startswith("sha512-"), name
            assert "resolved" not in package, name
