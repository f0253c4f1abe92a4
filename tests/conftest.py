"""What every test may use: real data where it is there, and a cache of encodings of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests, so that none reads or fills the user's."""
    before = os.environ.get("CENOTE_CACHE")
    os.environ["CENOTE_CACHE"] = str(tmp_path_factory.mktemp("encodings"))
    yield
    if before is None:
        del os.environ["CENOTE_CACHE"]
    else:
        os.environ["CENOTE_CACHE"] = before


@pytest.fixture(scope="session")
def cranfield() -> Path:
    """1,400 abstracts on aerodynamics, two of them empty, with 225 questions and judgements."""
    data = os.environ.get("CENOTE_DATA")
    if not data or not (Path(data) / "cranfield").is_dir():
        pytest.skip("CENOTE_DATA does not say where the data is")
    return Path(data) / "cranfield"
