"""The programs in examples/ run, and say what they should."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest
import requests
import uvicorn

from token_ledger import Ledger, TokenTerms


def _module(project: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, project / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tournament", "registrations paid: 3; balances: [60, 110, 35]\n"),
        ("import_balances", "accounts: 4; supply: 12.51\n"),
    ],
)
def test_the_programs_run(name: str, said: str, project: Path, tmp_path: Path) -> None:
    """Each program runs as it stands and prints its result: everything is paid once."""
    done = subprocess.run(
        [sys.executable, str(project / "examples" / f"{name}.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert (0, said) == (done.returncode, done.stdout), done.stderr


def test_payouts_on_each_engine(
    project: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Payouts inside the site's own transaction are made once on SQLite and PostgreSQL."""
    _module(project, "tournament").main(database_url)
    assert "registrations paid: 3; balances: [60, 110, 35]\n" == capsys.readouterr().out


def test_the_service_awards_once(
    project: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The FastAPI service awards on publish, cite and remix, once each, and moves gifts."""
    terms = TokenTerms("PUB", "Publication", 8)
    Ledger.create(database_url, operator=b"\x11" * 20, token=terms).close()
    monkeypatch.setenv("REWARDS_DB", database_url)
    app = _module(project, "content_rewards").create_app()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

        def send(path: str, *, key: str | None = None, **body: str) -> requests.Response:
            headers = {} if key is None else {"Idempotency-Key": key}
            return requests.post(f"{url}/{path}", json=body, headers=headers, timeout=30)

        balances = [
            send(action, user="ana", work="w1").json()["balance"]
            for action in ("publish", "publish", "cite", "remix")
        ]
        assert ["1", "1", "1.5", "1.75"] == balances
        assert 404 == send("sleep", user="ana", work="w1").status_code
        send("publish", user="ben", work="w2")
        given = {"sender": "ana", "receiver": "ben", "amount": "0.75"}
        for _ in range(2):
            gift = send("gifts", key="g1", **given).json()
            assert {"from": "ana", "to": "ben", "amount": "0.75", "reason": "gift"} == gift
        for key, body in (
            (None, given),  # nobody could send it again safely
            ("g1", given | {"amount": "0.5"}),
            ("g2", given | {"amount": "5"}),
            ("g3", given | {"amount": "much"}),
        ):
            assert 422 == send("gifts", key=key, **body).status_code, body
        assert 422 == send("publish", user="", work="w3").status_code
        assert not send("cite", user="c", work="a:b").json()["repeated"]
        assert not send("cite", user="b:c", work="a").json()["repeated"]
        with Ledger.open(database_url) as coins:
            assert [100_000_000, 175_000_000] == [coins.get_balance(n) for n in ("ana", "ben")]
    finally:
        server.should_exit = True
        thread.join(30)
