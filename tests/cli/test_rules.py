"""`rule` and `award`: what actions earn, set and applied at the command line."""

from __future__ import annotations

import pytest


@pytest.fixture
def rules(book):
    """Return `book`, with a rule for publishing."""
    ended = book("rule", "set", "publish", "1.50", "--multiplier", "1.5", "--total", "100")
    assert 0 == ended.status, ended.err
    return book


def test_award_applies_the_rule(rules) -> None:
    """An award makes the account, pays the rounded amount once for a key, and names its rule."""
    words = ("award", "bob", "publish", "2", "--key", "k", "--ref", "paper:7", "--metadata", "[1]")
    made = rules(*words, "--json").document
    assert ("4.5", "4.5", "publish", 1, False) == tuple(
        made[n] for n in ("amount", "balance_after_to", "action", "rule_version", "repeated")
    )
    rules("rule", "set", "publish", "9")
    again = rules(*words, "--json").document
    assert made | {"repeated": True} == again
    shown = rules("entry", "show", made["id"], "--json").document
    assert ("earn:publish", {"action": "publish", "version": 1}) == (shown["reason"], shown["rule"])
    assert "rule              publish, version 1" in rules("entry", "show", made["id"]).out
    assert "rule version  1" in rules(*words).out


def test_rules_are_listed_by_version(rules) -> None:
    """The list holds what is in force, with its caps in words; the history every version."""
    caps = ("--count", "2", "--amount", "5", "--per", "day")
    assert 0 == rules("rule", "set", "login", "0.1", *caps).status
    listed = rules("rule", "list").out
    assert "2 times a day, 5 a day" in listed
    assert "100 for all" in listed
    retired = rules("rule", "retire", "publish", "--json").document
    assert (2, True) == (retired["version"], retired["retired"])
    assert ["login"] == [r["action"] for r in rules("rule", "list", "--json").document["rules"]]
    history = rules("rule", "list", "publish", "--history", "--json").document["rules"]
    assert [(1, False), (2, True)] == [(r["version"], r["retired"]) for r in history]
    first = rules("rule", "show", "publish", "--version", "1", "--json").document
    assert ("1.5", "1.5", "100", None) == tuple(
        first[n] for n in ("base_amount", "multiplier", "total_max", "period_s")
    )
    assert 86_400 == rules("rule", "show", "login", "--json").document["period_s"]
    assert "2 (retired)" in rules("rule", "show", "publish").out


def test_refusals_have_codes(rules) -> None:
    """No rule, a cap, an account that must exist, and a factor that is none, each say so."""
    for words, status, code in (
        (("award", "bob", "remix"), 1, "unknown_rule"),
        (("award", "bob", "publish", "99"), 1, "earning_cap"),
        (("award", "bob", "publish", "--existing"), 1, "unknown_account"),
        (("award", "bob", "publish", "many"), 2, "bad_amount"),
        (("award", "bob", "publish", "--ref", "paper"), 2, "bad_usage"),
        (("rule", "set", "publish", "1.234"), 2, "bad_amount"),
        (("rule", "set", "publish", "1", "--per", "day"), 2, "bad_usage"),
        (("rule", "show", "remix"), 1, "unknown_rule"),
    ):
        ended = rules(*words, "--json")
        assert (status, code) == (ended.status, ended.error["code"]), words
