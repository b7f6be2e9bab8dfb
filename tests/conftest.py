"""Options of the test run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from constrain.kernel import _native


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


@pytest.fixture(scope="module", params=_native.instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the tests of a module once with each of the vector loops this processor has."""
    before = _native.use_instruction_set(request.param)
    yield str(request.param)
    _native.use_instruction_set(before)
