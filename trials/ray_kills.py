"""Kills workers and nodes of a Ray cluster while a suite runs, and the command itself between the parts.

    python trials/ray_kills.py [--kills N] [--parts P] [--seed N] [--keep FOLDER]

A head without processors and two nodes with one each, all on this machine. While the suite runs, every tenth kill takes
a node (its raylet, without a word to anybody; another is added at once), the others a process that runs a job: Ray's
worker or ours within it. After each part the command is killed, too, and started again. At the end it runs to its own
end, and the stored runs are compared with those of the same suite on this machine alone. Exit code 1 where a run was
lost, stored twice, unequal or counted as a failure of its algorithm, or where a process is left.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from busy_plugin import install

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}
#: Attempts at a run; one that was killed more often in one part is run again by the next.
OF_THE_MACHINE = {"WorkerDied", "OutOfMemory", "Interrupted"}
#: Of all kills, those that count towards `--kills`.
STRUCK = ("workers", "nodes")


class Trial:
    """A suite under fire.

    Args:
        folder: empty.
        runs: of the suite.
    """

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder = folder
        install(folder / "site")
        root = Path(__file__).resolve().parent.parent
        self.mark = f"KILLED_FOR={folder}"
        variables = {"PYTHONPATH": f"{folder / 'site'}{os.pathsep}{root}", "KILLED_FOR": str(folder)}
        self.environment = {**os.environ, **variables, "HOME": str(folder)}
        self.suite = folder / "suite.yaml"
        document = {
            "name": "killed",
            "seeds": runs,
            "tasks": [{"id": "random-walk/20", "budget": {"env_steps": 200}}],
            "evaluation": {"every": 50, "episodes": 2},
            "algorithms": [{"use": "busy", "params": {"seconds": 0.1}}],
            "execution": {"ray": {"runtime_env": {"env_vars": variables}}, "workers": 8},
        }
        self.suite.write_text(json.dumps(document))

    def start(self, results: str, *arguments: str) -> "subprocess.Popen[str]":
        """Starts the command."""
        command = [sys.executable, "-m", "haepo_bench", "run", str(self.suite), "--results", results, "--quiet"]
        return subprocess.Popen(
            [*command, *arguments], cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def processes(self) -> dict[int, str]:
        """Living processes that were started for the trial, with their command lines; this one and Ray's own apart."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def busy(self) -> list[int]:
        """Processes that run a job: Ray's and ours."""
        marks = ("ray::run_job", "haepo_bench.execution.worker")
        return sorted(n for n, line in self.processes().items() if any(mark in line for mark in marks))

    def records(self, results: str) -> dict[int, dict[str, Any]]:
        """Every stored run by seed."""
        files = (self.folder / results / "killed").glob("*/seed-*.json")
        return {record["seed"]: record for record in (json.loads(file.read_bytes()) for file in files)}


def result(record: dict[str, Any]) -> dict[str, Any]:
    """What must be equal of one run wherever it ran."""
    curve = {name: column for name, column in record["curve"].items() if not name.endswith("seconds")}
    return {**{key: record[key] for key in ("status", "settings_hash", "code_hash", "final")}, "curve": curve}


def struck_in(done: Counter[str]) -> int:
    """Workers and nodes that were killed."""
    return sum(done[kind] for kind in STRUCK)


def fire(
    trial: Trial, cluster: Any, process: "subprocess.Popen[str]", kills: int, done: Counter[str], rng: random.Random
) -> None:
    """Kills until there were so many, each a moment after a job began; fewer where the suite ends before.

    Args:
        done: the kills that there were, which is counted on.
    """
    struck: set[int] = set()
    nodes = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]
    while struck_in(done) < kills and process.poll() is None:
        targets = [number for number in trial.busy() if number not in struck]
        if not targets:
            time.sleep(0.1)
            continue
        time.sleep(rng.uniform(0.0, 2.0))
        if struck_in(done) % 10 == 9:
            node = nodes.pop(rng.randrange(len(nodes)))
            cluster.remove_node(node, allow_graceful=False)
            nodes.append(another(cluster))
            done["nodes"] += 1
            continue
        target = rng.choice(targets)
        struck.add(target)
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, signal.SIGKILL)
            done["workers"] += 1


def another(cluster: Any) -> Any:
    """One more node; on a machine that is busy enough Ray gives a node up that does not start in time."""
    for _ in range(5):
        with contextlib.suppress(Exception):  # Ray raises just that
            return cluster.add_node(**NODE)
    return cluster.add_node(**NODE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--parts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="an empty folder, which is kept; a temporary one if left out")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sys.exit(run(Trial(folder, options.kills), options.kills, options.parts, random.Random(options.seed)))


def run(trial: Trial, kills: int, parts: int, rng: random.Random) -> int:
    os.environ |= {"HOME": str(trial.folder), "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    os.environ |= {"RAY_raylet_start_wait_time_s": "300"}  # on a busy machine
    from ray.cluster_utils import Cluster

    alone = trial.start("alone")
    assert alone.wait() == 0, alone.communicate()[1]
    expected = {seed: result(record) for seed, record in trial.records("alone").items()}
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
    done: Counter[str] = Counter()
    try:
        for _ in range(2):
            another(cluster)
        address = ("--executor", "ray", "--address", cluster.address)
        for part in range(parts):
            process = trial.start("killed", *address)
            fire(trial, cluster, process, kills * (part + 1) // parts, done, rng)
            process.kill()
            done["commands"] += process.wait() == -signal.SIGKILL
            process.communicate()
            print(f"part {part + 1}: {dict(done)}, {len(trial.records('killed'))} runs stored", flush=True)
        for _ in range(3):  # more only where runs were killed too often within one command, which is hardly so
            last = trial.start("killed", *address)
            _, errors = last.communicate()
            if last.returncode != 2:
                break
        deadline = time.monotonic() + 30
        while trial.processes() and time.monotonic() < deadline:
            time.sleep(0.2)
        left = trial.processes()
    finally:
        cluster.shutdown()
    records = trial.records("killed")
    attempts = Counter(attempt["type"] for record in records.values() for attempt in record["attempts"])
    counts = {
        "exit code of the last command": last.returncode,
        "runs lost": len(expected.keys() - records.keys()),
        "runs unequal": sum(result(records[seed]) != expected[seed] for seed in expected.keys() & records.keys()),
        "stored twice": len(list((trial.folder / "killed").rglob("*.damaged*"))) + errors.count("FileExistsError"),
        "failures of the algorithm": sum(n for kind, n in attempts.items() if kind not in OF_THE_MACHINE),
        "processes left": len(left),
    }
    print(f"{struck_in(done)} kills {dict(done)}; {len(records)} runs; attempts {dict(attempts)}")
    for what, count in counts.items():
        print(f"{what}: {count}")
    if any(counts.values()):
        print(errors, left)
    return int(any(counts.values()))


if __name__ == "__main__":
    main()
