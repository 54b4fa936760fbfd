"""The tournament site, on each engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.acceptance.tournament_site import Site


@pytest.fixture
def site(database_url: str) -> Iterator[Site]:
    """Yield a site whose three users hold 100 coins each."""
    made = Site(database_url)
    yield made
    made.close()
