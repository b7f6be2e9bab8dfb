"""Options of the test run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--walks`."""
    parser.addoption(
        "--walks",
        type=int,
        default=56,
        help="random walks over each real vocabulary (default: 56; for the record: 10000)",
    )


@pytest.fixture(scope="session")
def n_walks(request: pytest.FixtureRequest) -> int:
    """How many random walks to make over each real vocabulary."""
    return int(request.config.getoption("--walks"))
