"""A Ray cluster of a few nodes on this machine, in a process of its own: two, or as many as RAY_TEST_NODES says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = """
import sys
from ray.cluster_utils import Cluster

small = {"num_cpus": 1, "object_store_memory": 80 << 20}
cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
second = cluster.add_node(**small, resources={"second": 1})
for _ in range(int(sys.argv[1]) - 2):
    cluster.add_node(**small)
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""


def settings(home: Path) -> dict[str, str]:
    """What keeps Ray from the files of whoever runs the tests."""
    patient = {"RAY_raylet_start_wait_time_s": "300"}  # on a busy machine
    return {"HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", **patient}


class Nodes:
    """The cluster."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._said()
        assert self.address, "Ray did not start"

    def remove_the_second(self) -> None:
        """Kills the second node."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._said() == "removed"

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def some_nodes(home: Path) -> Iterator[Nodes]:
    """Starts it; at the end of this process's pipe it ends as well."""
    count = os.environ.get("RAY_TEST_NODES", "2")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, count], env={**os.environ, **settings(home)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield Nodes(process)
    finally:
        assert process.stdin is not None
        process.communicate(timeout=60)
