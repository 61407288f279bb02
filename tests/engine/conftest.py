"""The kernels' library for the tests of this folder, built where it is missing."""

import pytest

from haepo_bench.engine import build, library


@pytest.fixture(scope="session", autouse=True)
def compiled() -> library.Library:
    """The library; without a compiler, or a processor that has what it takes, the tests are skipped."""
    if library.status().library is None:
        try:
            build.build_all()
        except build.NotBuilt as error:
            pytest.skip(f"no compiled engine here: {error}")
        library.status.cache_clear()
    found = library.status()
    if found.library is None:
        pytest.skip(f"no compiled engine here: {found.reason}")
    return found.library
