"""A throw-away plugin whose algorithm does what a test tells it to, and the program run as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

PLUGIN = """
import ctypes, os, signal, sys, time
from pathlib import Path

import numpy as np

from haepo_bench.errors import ParameterError, TaskError
from haepo_bench.results.record import Information
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition
from haepo_bench.training.seed_record import Evaluation

DEFAULTS = {"act": "train", "at": [], "batched": False, "pause": 0.0}


class Scripted(Algorithm):
    notes = ()
    information = Information(
        told="returns", critic=False, discount=None, label="scripted", footnote="made up for [tests]"
    )

    def __init__(self, parameters):
        self.parameters = parameters
        self.batches_seeds = parameters["batched"]

    def train(self, task, seeds, recorder, *, device):
        print("training", seeds)
        for seed in seeds:
            sick = seed in self.parameters["at"] and Path(os.environ["SICK"]).exists()
            self.train_seed(seed, recorder, self.parameters["act"] if sick else "train")

    def train_seed(self, seed, recorder, act):
        generator = np.random.default_rng(seed)
        for iteration in range(recorder.budget // 10):
            if iteration == 3 and act != "train":
                if act == "raise":
                    raise ValueError(f"seed {seed} \\udcff is unwell\\nvery")
                if act == "refuse":
                    raise TaskError("the reward is not a number", where="made/up", remedy="fix it")
                if act == "nan":
                    return recorder.diverged(seed, "the loss is nan")
                if act == "hang":
                    time.sleep(3600)
                if act == "hold":  # a library that hangs without letting other threads run
                    ctypes.PyDLL(None).sleep(3600)
                if act == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if act == "segfault":
                    os.kill(os.getpid(), signal.SIGSEGV)
                if act == "os_exit":
                    os._exit(7)
                if act == "sys_exit":
                    sys.exit(0)
                if act == "return":
                    return
            time.sleep(self.parameters["pause"])
            recorder.collected(seed, 10, 1, {"loss": float(generator.random())})
            if recorder.wants_policies:
                recorder.policy(seed, {"weights": np.full(3, seed, dtype=np.float32)})
            for due, _ in recorder.due():
                recorder.evaluated(due, Evaluation(float(generator.random()), 0.0, 1.0, 5))
            recorder.progress()


class ScriptedDefinition(AlgorithmDefinition):
    name, summary, version, description = "scripted", "does as told", 1, "Does as told."

    def describe_parameters(self):
        return []

    def refuses(self, task):
        return None

    def configure(self, overrides, task):
        return Scripted({**DEFAULTS, **overrides})
"""


class Workplace:
    """A folder with the plugin in it, and the program to be run there.

    Args:
        folder: empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        site = folder / "site"
        (site / "scripted-1.0.dist-info").mkdir(parents=True)
        (site / "scripted.py").write_text(PLUGIN, encoding="utf-8")
        (site / "scripted-1.0.dist-info" / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: scripted\nVersion: 1.0\n"
        )
        (site / "scripted-1.0.dist-info" / "entry_points.txt").write_text(
            "[haepo_bench.algorithms]\nscripted = scripted:ScriptedDefinition\n"
        )
        self._started: list[subprocess.Popen[str]] = []
        self.sick = folder / "sick"
        self.sick.touch()
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
            "SICK": str(self.sick),
        }

    def suite(self, algorithms: list[dict[str, Any]], **fields: Any) -> Path:
        """Writes a suite file of scripted algorithms on one task."""
        document = {
            "name": "trial",
            "seeds": 3,
            "evaluation": {"every": 50, "episodes": 2},
            "tasks": [{"id": "random-walk/20", "budget": {"env_steps": 100}}],
            "algorithms": [{"use": "scripted", **algorithm} for algorithm in algorithms],
            "execution": {"workers": 2, "device": "cpu"},
            **fields,
        }
        path = self.folder / "suite.yaml"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    def start(self, suite: Path, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Starts `haepo-bench run` in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "haepo_bench", "run", str(suite), *arguments],
            cwd=self.folder,
            env=self.environment,
            text=True,
            process_group=0,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Ends what a test that failed left running."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def run(self, suite: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs `haepo-bench run` to its end."""
        process = self.start(suite, *arguments)
        output, errors = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def records(self, results: str = "results") -> dict[tuple[str, int], dict[str, Any]]:
        """Every stored run by algorithm and seed."""
        files = sorted((self.folder / results / "trial").glob("*/seed-*.json"))
        documents = [json.loads(file.read_bytes()) for file in files]
        return {(document["algorithm"], document["seed"]): document for document in documents}

    def statuses(self, results: str = "results") -> dict[tuple[str, int], str]:
        """The status of every stored run by algorithm and seed."""
        return {key: record["status"] for key, record in self.records(results).items()}

    def files(self) -> dict[Path, tuple[int, bytes]]:
        """Modification time and content of every stored run."""
        files = (self.folder / "results" / "trial").glob("*/seed-*.json")
        return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """What must be equal of two runs with the same identity."""
    curve = {name: column for name, column in record["curve"].items() if name not in ("wall_seconds", "cpu_seconds")}
    kept = ("status", "task", "algorithm", "seed", "settings_hash", "code_hash", "settings", "final")
    return {**{name: record[name] for name in kept}, "curve": curve}


def members(group: int) -> list[int]:
    """Living processes of a process group."""
    return list(_states(group))


def _states(group: int) -> dict[int, str]:
    """State of each living process of a process group, as /proc names it."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found[int(folder.name)] = fields[0]
    return found


@contextmanager
def held(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Stops a run and its workers for the time of the block, so that what the block does to its files is one step to
    them: otherwise they write between a rename and the copy that takes its place."""
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: all(state == "T" for state in _states(process.pid).values()), "a run to stop")
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)


def wait_until(condition: Any, what: str, seconds: float = 30.0) -> None:
    """Waits until something is so; fails loudly when it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)
