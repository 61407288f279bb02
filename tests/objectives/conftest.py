"""TRL's trainers, built once for all comparisons with them."""

import pytest
from trl_support import Trl, built


@pytest.fixture(scope="session")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> Trl:
    return built(tmp_path_factory.mktemp("trl"))
