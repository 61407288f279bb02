"""The connection to a Ray cluster: made, counted, given up. Loads ray, which nothing else does."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from haepo_bench.errors import UserError
from haepo_bench.execution.worker_process import ONE_THREAD
from haepo_bench.suite.machine import usable_cores
from haepo_bench.suite.plan import RayJobs

_REACH_SECONDS = 10.0
_MOST_SENT = 100 << 20
#: Read by ray when it is imported: no usage statistics; no environment of `uv run` in place of the nodes' own.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


class RayCluster:
    """A connection to a Ray cluster; close it.

    Args:
        jobs: what each job asks of a node, beside one processor core.

    Raises:
        UserError: there is none at the address, or none of its nodes has room for a job.
    """

    def __init__(self, jobs: RayJobs) -> None:
        self._jobs = jobs
        address = _address(jobs.address)
        environment = _runtime_env(jobs.runtime_env)
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError as error:
            raise UserError(
                f"the executor ray needs Ray: {error}", remedy="pip install 'haepo-bench[ray]', here and on all nodes"
            ) from error
        if ray.is_initialized():
            raise UserError("this process is connected to Ray already", remedy="call ray.shutdown() before")
        options: dict[str, Any] = {"num_cpus": jobs.at_most or usable_cores()} if address == "local" else {}
        try:
            with _signals_kept():
                ray.init(
                    address=address, runtime_env=environment, include_dashboard=False if options else None,
                    log_to_driver=False, logging_level=logging.CRITICAL, **options,
                )  # fmt: skip
        except Exception as error:
            raise UserError(
                f"cannot connect to Ray at {address}: {_first_line(error)}", remedy=_remedy(address)
            ) from error
        self.ray: Any = ray
        if not self.slots():
            had = self._described()
            self.close()
            raise UserError(
                f"no node of the Ray cluster has room for a job, which asks for {self._asked()}",
                remedy=f"ask for less under execution.ray, or add a node; the cluster has {had}",
            )

    def slots(self, without: Collection[str] = ()) -> int:
        """Jobs that have room at a time.

        Args:
            without: nodes that do not count, by id.
        """
        asked = {"CPU": 1.0, **({"GPU": self._jobs.num_gpus} if self._jobs.num_gpus else {}), **self._jobs.resources}
        return sum(
            min(int(node["Resources"].get(name, 0.0) / amount + 1e-9) for name, amount in asked.items())
            for node in self.ray.nodes()
            if node["Alive"] and node["NodeID"] not in without
        )

    def close(self) -> None:
        """Ends the connection, and all that was started for it."""
        with _signals_kept():
            self.ray.shutdown()

    def _asked(self) -> str:
        gpus = [f"{self._jobs.num_gpus:g} GPU"] if self._jobs.num_gpus else []
        return ", ".join(["1 CPU", *gpus, *(f"{amount:g} {name}" for name, amount in self._jobs.resources.items())])

    def _described(self) -> str:
        resources = self.ray.cluster_resources()
        names = [name for name in resources if not name.startswith("node:") and "memory" not in name]
        return ", ".join(f"{resources[name]:g} {name}" for name in sorted(names)) or "no processors"


def _address(asked: str) -> str:
    address = os.environ.get("RAY_ADDRESS") or asked if asked == "auto" else asked
    if "://" in address:
        raise UserError(
            f"'{address}' cannot be used: the Ray client has no streaming generators, which bring the results",
            where="RAY_ADDRESS" if address != asked else "--address",
            remedy="start the command on the head node, with --address auto, or as a job: "
            "ray job submit -- haepo-bench run ... --executor ray",
        )
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise UserError(f"no Ray cluster answers at {address}: {error}", remedy=_remedy(address)) from error
    elif address not in ("auto", "local"):
        raise UserError(f"'{address}' is not an address", where="--address", remedy="auto, local or HOST:PORT")
    return address


def _remedy(address: str) -> str:
    if address == "local":
        return "is there room in /tmp and in shared memory? RAY_TMPDIR names another folder, whose path must be short"
    return "start one with `ray start --head`, name another with --address HOST:PORT, or use --address local"


def _runtime_env(given: dict[str, Any]) -> dict[str, Any]:
    """The user's runtime environment, and one thread for each worker whatever that says.

    Raises:
        UserError: it sends a folder that was hardly meant.
    """
    sent = given.get("working_dir")
    if isinstance(sent, str) and Path(sent).is_dir():
        left_out = given.get("excludes") or []
        where = "execution.ray.runtime_env.working_dir"
        if (Path(sent) / ".git").exists() and not any(".git" in str(pattern) for pattern in left_out):
            raise UserError(
                f"{sent} holds .git, and all of it would be sent to every node",
                where=where,
                remedy="add excludes: ['.git'], or name a smaller folder; a suite's own files travel anyway",
            )
        size = 0 if left_out else sum(path.stat().st_size for path in Path(sent).rglob("*") if path.is_file())
        if size > _MOST_SENT:
            raise UserError(
                f"{sent} has {size / 2**20:.0f} MiB, and is sent to every node",
                where=where,
                remedy="put large files on a file system that all nodes share, or list them under excludes",
            )
    return {**given, "env_vars": {**given.get("env_vars", {}), **ONE_THREAD}}


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Leaves signals to those who listened to them before: ray takes SIGTERM for itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
