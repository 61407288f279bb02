"""The cluster that the tests of this folder share; started by the first that asks for it."""

from collections.abc import Iterator

import pytest
from ray_support import Nodes, some_nodes


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    pytest.importorskip("ray")
    with some_nodes(tmp_path_factory.mktemp("home")) as found:
        yield found
