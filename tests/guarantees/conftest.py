"""One lab with its bystanders for all parts of one test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .lab import Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Give the folder, the engine and the bystanders that every suite works among."""
    with Lab() as made:
        yield made
