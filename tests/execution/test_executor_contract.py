"""What every executor promises (haepo_bench/execution/executor.py), and every way of spreading a suite.

An executor of another kind joins EXECUTORS, a way of running a whole suite WAYS.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from execution_support import Workplace, members, timeless, wait_until
from ray_support import settings

from haepo_bench import catalogue
from haepo_bench.execution.executor import (
    Ended,
    Event,
    Executor,
    Failed,
    Finished,
    Marked,
    Progressed,
    Queue,
    Started,
    Tick,
)
from haepo_bench.execution.jobs import Job, make_jobs
from haepo_bench.execution.local import LocalExecutor
from haepo_bench.execution.session import Options, _Session
from haepo_bench.execution.survey import survey
from haepo_bench.execution.worker import Request
from haepo_bench.results.columns import CLOCK_COLUMNS
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import RayJobs
from haepo_bench.suite.resolve import load_plan

#: Each takes what makes requests, and the seconds that a job may take.
EXECUTORS: dict[str, Callable[[Callable[[Job], Request], float], Executor]] = {
    "one worker": lambda request, most: LocalExecutor(workers=1, timeout_seconds=most, request=request),
    "two workers": lambda request, most: LocalExecutor(workers=2, timeout_seconds=most, request=request),
}
if find_spec("ray") is not None:
    EXECUTORS["ray"] = lambda request, most: over_ray(request, most)


def over_ray(request: Callable[[Job], Request], timeout_seconds: float) -> Executor:
    """On the cluster of the tests, whose nodes find the plugin as this process does."""
    from haepo_bench.execution.ray_executor import RayExecutor

    variables = {"SICK": os.environ["SICK"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    jobs = RayJobs(os.environ["NODES"], runtime_env={"env_vars": variables})
    return RayExecutor(jobs, timeout_seconds=timeout_seconds, request=request)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Workplace]:
    """The plugin within reach of this very process."""
    place = Workplace(tmp_path)
    if "ray" in request.node.name:
        nodes = request.getfixturevalue("nodes")
        for name, value in {**settings(tmp_path), "NODES": nodes.address}.items():
            monkeypatch.setenv(name, value)
            place.environment[name] = value
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("SICK", str(place.sick))
    invalidate_caches()
    for cached in (catalogue._plugins, catalogue.algorithm):
        cached.cache_clear()
    yield place
    place.close()
    for cached in (catalogue._plugins, catalogue.algorithm):
        cached.cache_clear()


class Prepared:
    """An executor with the jobs of a suite."""

    def __init__(
        self, place: Workplace, kind: str, algorithms: list[dict[str, Any]], *, most: float = 60, **fields: Any
    ) -> None:
        plan = load_plan(place.suite(algorithms, **fields))
        self.store = Store(place.folder / "results" / plan.suite)
        found = survey(plan, self.store, retry_failed=False)
        session = _Session(plan, self.store, Options(quiet=True), found, held=None)  # type: ignore[arg-type]
        self.jobs = make_jobs(found.missing, 1, {cell.folder: 1.0 for cell in plan.cells})
        self.executor = EXECUTORS[kind](session._request, most)

    def events(self) -> list[Event]:
        with contextlib.closing(self.executor):
            return list(self.executor.events(Queue(self.jobs)))


def workers_of(place: Workplace) -> set[int]:
    """Processes that were started for a workplace and that live, whoever started them."""
    mark = f"SICK={place.sick}".encode()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
    return found


def gone(place: Workplace, kind: str) -> bool:
    """Whether no worker lives; on a cluster its nodes see to it, a moment later."""
    if kind == "ray":
        wait_until(lambda: not workers_of(place), "the end of the workers", 20)
    return not workers_of(place)


@pytest.mark.parametrize("kind", EXECUTORS)
def test_of_each_job_and_seed_the_promised_events_come(workplace: Workplace, kind: str) -> None:
    acts = ["train", "raise", "nan", "return", "kill", "segfault", "os_exit", "sys_exit"]
    algorithms = [{"name": act, "params": {"act": act, "at": [1], "batched": True}} for act in acts]
    prepared = Prepared(workplace, kind, algorithms)
    events = prepared.events()
    assert gone(workplace, kind)
    assert not list(prepared.store.root.glob("*/seed-*.json"))  # it does not write runs
    for job in prepared.jobs:
        own = [event for event in events if not isinstance(event, Tick) and event.job is job]
        assert isinstance(own[0], Started)
        assert isinstance(own[-1], Ended)
        assert all(isinstance(event, Progressed | Marked | Finished | Failed) for event in own[1:-1])
        ends = [event.run.seed for event in own if isinstance(event, Finished)]
        ends += [run.seed for event in own if isinstance(event, Failed) for run in event.runs]
        assert sorted(ends) == sorted(job.seeds)
        for event in own:
            if isinstance(event, Finished):
                record = RunRecord.from_json(event.record)
                assert (record.seed, record.code_hash) == (event.run.seed, event.run.cell.code_hash)
                points = [e.row for e in own if isinstance(e, Marked) and e.run == event.run]
                reached = [mark for mark in record.curve["env_steps"] if mark is not None]
                told = [row["env_steps"] for row in points]
                assert told == (reached if record.status == "done" else [0])
                for name, column in record.curve.items():
                    assert [row.get(name) for row in points] == column[: len(points)]
    failures = {event.job.cell.algorithm: event for event in events if isinstance(event, Failed)}
    assert set(failures) == set(acts) - {"train", "nan"}
    assert {act for act, event in failures.items() if event.failure.of_machine} == {"kill"}
    # Of the seed that was killed in its middle, the points before are known.
    assert [e.row["env_steps"] for e in events if isinstance(e, Marked) and e.job.cell.algorithm == "kill"] == [
        *(0, 50, 100),
        0,
    ]


@pytest.mark.parametrize("kind", EXECUTORS)
def test_jobs_may_be_added_until_the_end(workplace: Workplace, kind: str) -> None:
    prepared = Prepared(workplace, kind, [{"name": "a"}], seeds=4)
    queue = Queue(prepared.jobs[:1])
    waiting, finished = prepared.jobs[1:], []
    with contextlib.closing(prepared.executor):
        for event in prepared.executor.events(queue):
            if isinstance(event, Finished):
                finished.append(event.run.seed)
            if isinstance(event, Ended) and waiting:
                queue.put(waiting.pop(0))
    assert sorted(finished) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", EXECUTORS)
def test_what_may_not_be_started_is_passed_over(workplace: Workplace, kind: str) -> None:
    prepared = Prepared(workplace, kind, [{"name": "a"}], seeds=3)
    queue = Queue(prepared.jobs, lambda job: job.seeds != (1,))
    with contextlib.closing(prepared.executor):
        events = list(prepared.executor.events(queue))
    assert sorted(event.run.seed for event in events if isinstance(event, Finished)) == [0, 2]
    assert [job.seeds for job in queue.passed_over] == [(1,)]


@pytest.mark.parametrize("kind", EXECUTORS)
@pytest.mark.parametrize("act", ["hang", "hold"])
def test_stopping_takes_seconds_and_leaves_no_process(workplace: Workplace, kind: str, act: str) -> None:
    prepared = Prepared(workplace, kind, [{"name": "a", "params": {"act": act, "at": [1], "batched": True}}])
    events: list[Event] = []
    with contextlib.closing(prepared.executor):
        for event in prepared.executor.events(Queue(prepared.jobs)):
            events.append(event)
            if isinstance(event, Finished):
                begun = time.monotonic()
                prepared.executor.stop()
    assert time.monotonic() - begun < 10
    assert [event.run.seed for event in events if isinstance(event, Finished)] == [0]
    assert not [event for event in events if isinstance(event, Failed)]  # nobody failed: it was stopped
    assert gone(workplace, kind)


@pytest.mark.parametrize("kind", EXECUTORS)
def test_an_iteration_that_ends_early_leaves_no_process(workplace: Workplace, kind: str) -> None:
    prepared = Prepared(workplace, kind, [{"name": "a", "params": {"pause": 60}}])
    with contextlib.closing(prepared.executor), contextlib.closing(prepared.executor.events(Queue(prepared.jobs))) as e:
        assert isinstance(next(event for event in e if not isinstance(event, Tick)), Started)
        assert workers_of(workplace)
    assert gone(workplace, kind)


@pytest.mark.parametrize("kind", EXECUTORS)
def test_a_job_that_takes_too_long_is_ended(workplace: Workplace, kind: str) -> None:
    prepared = Prepared(workplace, kind, [{"name": "a", "params": {"act": "hang", "at": [0]}}], most=1.5, seeds=1)
    (failed,) = [event for event in prepared.events() if isinstance(event, Failed)]
    assert (failed.failure.status, failed.failure.type) == ("timed_out", "Timeout")
    assert not failed.failure.of_machine
    assert gone(workplace, kind)


def program(place: Workplace, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "haepo_bench", *arguments],
        cwd=place.folder, env=place.environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def locally(workers: int) -> Callable[[Workplace, Path], Path]:
    def run(place: Workplace, suite: Path) -> Path:
        results = f"local-{workers}"
        program(place, "run", str(suite), "--results", results, "--workers", str(workers), "--quiet")
        return place.folder / results / "trial"

    return run


def in_shards(place: Workplace, suite: Path) -> Path:
    for shard in ("1/2", "2/2"):
        program(place, "run", str(suite), "--results", "shards", "--shard", shard, "--workers", "1", "--quiet")
    program(place, "merge", "shards/trial/shards", "--into", "shards/trial")
    return place.folder / "shards" / "trial"


def under_fire(place: Workplace, suite: Path) -> Path:
    """A worker is killed twice, whatever it is doing."""
    process = place.start(suite, "--results", "fire", "--workers", "2", "--quiet")
    for _ in range(2):
        wait_until(lambda: len(members(process.pid)) > 1 or process.poll() is not None, "a worker", 120)
        time.sleep(0.7)
        for worker in sorted(set(members(process.pid)) - {process.pid})[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return place.folder / "fire" / "trial"


def as_slurm_jobs(place: Workplace, suite: Path) -> Path:
    """By submitit, whose local executor is in Slurm's place; a run's share of a second makes two jobs."""
    pytest.importorskip("submitit")
    local = ("--executor", "slurm", "--set", "execution.slurm={cluster: local, chunk: 1}")
    program(place, "run", str(suite), "--results", "slurm", *local, "--quiet")
    assert len(list(place.folder.glob("slurm/trial/shards/*"))) > 1
    return place.folder / "slurm" / "trial"


def over_two_nodes(place: Workplace, suite: Path) -> Path:
    document = json.loads(suite.read_text())
    document["execution"]["ray"] = {"runtime_env": {"env_vars": {"PYTHONPATH": place.environment["PYTHONPATH"]}}}
    suite.write_text(json.dumps(document))
    program(
        place, "run", str(suite), "--results", "ray", "--executor", "ray", "--address", os.environ["NODES"], "--quiet"
    )
    return place.folder / "ray" / "trial"


WAYS: dict[str, Callable[[Workplace, Path], Path]] = {
    "two workers": locally(2),
    "shards and merge": in_shards,
    "workers killed": under_fire,
    "Slurm jobs": as_slurm_jobs,
}
if find_spec("ray") is not None:
    WAYS["ray"] = over_two_nodes

OWN = """
from haepo_bench.api import Objective, ObjectiveOutput

class MedianBaseline(Objective):
    \"\"\"Policy gradient with the group's median return as baseline.\"\"\"

    def __call__(self, batch):
        advantages = batch.returns - batch.returns.median(-1, keepdim=True).values
        return ObjectiveOutput(-(advantages.to(batch.dtype) * batch.masked_sum(batch.log_probs)).mean((-1, -2)), {})
"""
#: What is trained: an own algorithm in batches, one in a file, one of a plugin, segments, Stable-Baselines3, a language
#: model.
SMALL = {"hidden": [8], "trajectories": 4, "epochs": 1}
ALGORITHMS = [
    {"use": "reinforce", "params": SMALL, "tasks": ["random-walk/20"]},
    {"use": "./own.py", "params": SMALL, "tasks": ["random-walk/20"]},
    {"use": "scripted", "params": {"pause": 0.02}, "tasks": ["random-walk/20"]},
    {"use": "ppo-batched", "tasks": ["random-walk/20"]},
    {"use": "ppo", "tasks": ["random-walk/20"]},
    {"use": "rloo", "params": {"prompts": 2, "completions": 4, "fine_tuning_steps": 2}, "tasks": ["lm/arithmetic"]},
]
TASKS = [
    {"id": "random-walk/20", "budget": {"env_steps": 300}, "evaluation": {"every": 100, "episodes": 2}},
    {"id": "lm/arithmetic", "budget": {"env_steps": 400}, "evaluation": {"every": 200, "episodes": 5}},
]


@pytest.mark.slow
def test_the_bytes_of_results_depend_on_none_of_it_not_even_on_ray(workplace: Workplace) -> None:
    """Curve, final evaluation and counts of each way are those of one worker; clock columns and provenance apart."""
    workplace.environment["XDG_CACHE_HOME"] = str(workplace.folder / "cache")
    workplace.sick.unlink()
    (workplace.folder / "own.py").write_text(OWN)
    suite = workplace.suite(ALGORITHMS, tasks=TASKS, seeds=3)
    expected = results_in(locally(1)(workplace, suite))
    assert len(expected) == 18
    for name, way in WAYS.items():
        assert results_in(way(workplace, suite)) == expected, name


def results_in(root: Path) -> dict[tuple[str, int], dict[str, Any]]:
    records = [json.loads(file.read_bytes()) for file in root.glob("*--*/seed-*.json")]
    return {(record["algorithm"], record["seed"]): _result(record) for record in records}


def _result(record: dict[str, Any]) -> dict[str, Any]:
    kept = timeless(record)
    curve = {name: column for name, column in kept["curve"].items() if name not in CLOCK_COLUMNS}
    counts = {name: value for name, value in record["cost"].items() if "seconds" not in name and "bytes" not in name}
    return {**kept, "curve": curve, "counts": counts}
