"""How a plan is divided into jobs, and that the division never shows in a result."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from execution_support import Workplace, timeless

from haepo_bench.errors import UserError
from haepo_bench.execution import local, worker_process
from haepo_bench.execution.estimate import total_seconds
from haepo_bench.execution.executor import Queue
from haepo_bench.execution.jobs import Job, last_end, make_jobs
from haepo_bench.execution.local import LocalExecutor
from haepo_bench.execution.session import Options, forecast, run_plan
from haepo_bench.results import store as store_module
from haepo_bench.results.index import Index
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import Plan, by_cell
from haepo_bench.suite.resolve import load_plan

SUITE = """
name: trial
seeds: 3
evaluation: {every: 200, episodes: 2}
tasks: [{id: random-walk/20, budget: {env_steps: 500}}]
algorithms:
  - {use: reinforce, params: {hidden: [8], trajectories: 4, epochs: 1}}
  - {use: reinforce-togo, params: {hidden: [8], trajectories: 4, epochs: 1}}
execution: {workers: 2, device: cpu}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE, encoding="utf-8")
    return load_plan(path)


def seeds_of(jobs: list[Job]) -> list[tuple[str, tuple[int, ...]]]:
    return [(job.cell.algorithm, job.seeds) for job in jobs]


def test_jobs_are_whole_cells_unless_workers_would_idle(plan: Plan) -> None:
    first, second = plan.cells
    missing = [(first, (0, 1, 2, 3)), (second, (1, 3))]
    seconds = {first.folder: 1.0, second.folder: 5.0}
    assert seeds_of(make_jobs(missing, 1, seconds)) == [("reinforce-togo", (1, 3)), ("reinforce", (0, 1, 2, 3))]
    divided = [("reinforce-togo", (1,)), ("reinforce-togo", (3,)), ("reinforce", (0, 1, 2, 3))]
    assert seeds_of(make_jobs(missing, 3, seconds)) == divided
    # Of two workers the one with 4 s to do waits for 10 s: 9 s and 5 s would not be much sooner, 10 s and 6 s are.
    assert seeds_of(make_jobs(missing, 2, seconds)) == [("reinforce-togo", (1, 3)), ("reinforce", (0, 1, 2, 3))]
    assert seeds_of(make_jobs(missing, 2, {first.folder: 1.0, second.folder: 6.0})) == divided
    assert len(make_jobs(missing, 100, seconds)) == 6
    # In thirds one cell would end no sooner than in two parts of which one has two seeds.
    assert [job.seeds for job in make_jobs([(first, (0, 1, 2))], 2, seconds)] == [(0, 1), (2,)]
    unbatched = replace(first, batches_seeds=False)
    assert seeds_of(make_jobs([(unbatched, (2, 0))], 1, seconds)) == [("reinforce", (2,)), ("reinforce", (0,))]
    assert len({job.log_name for job in make_jobs(missing, 3, seconds)}) == 3


def test_long_cells_are_divided_where_other_workers_would_wait_for_them(plan: Plan) -> None:
    """Two cells of four long seeds, and so many short ones that no worker lacks a job."""
    first, second = plan.cells
    missing = [(first, (0, 1, 2, 3)), (second, (0, 1, 2, 3)), *[(replace(first, batch=None), (9,))] * 8]
    made = make_jobs(missing, 8, {first.folder: 1.0, second.folder: 1.0})
    assert sorted(len(job.runs) for job in made) == [1] * 8 + [2] * 4
    assert last_end([], [job.seconds for job in made], 8) == 2.0
    assert sum(len(job.runs) for job in make_jobs(missing, 8, {first.folder: 0.0, second.folder: 0.0})) == 16


def searched(tmp_path: Path, cells: int) -> Path:
    """A suite as a search makes it: many configurations of one shape, and one of another."""
    suite = yaml.safe_load(SUITE) | {"seeds": 2}
    own = {"hidden": [8], "trajectories": 4, "epochs": 1}
    suite["algorithms"] = [
        {
            "use": "reinforce",
            "name": f"r{i}",
            "params": {**own, "learning_rate": 1e-3 * (1 + i), "kl_coefficient": 0.1 * i},
        }
        for i in range(cells)
    ]
    suite["algorithms"].append({"use": "reinforce", "name": "other", "params": {**own, "epochs": 2}})
    path = tmp_path / f"searched-{cells}.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


def test_many_cells_of_few_seeds_share_jobs(tmp_path: Path) -> None:
    def jobs(cells: int, workers: int, seconds: float = 1.0) -> list[list[int]]:
        plan = load_plan(searched(tmp_path, cells))
        missing = [(cell, cell.seeds) for cell in plan.cells]
        asked = [(cell.folder, seed) for cell in plan.cells for seed in cell.seeds]
        made = make_jobs(missing, workers, {cell.folder: seconds for cell in plan.cells})
        assert sorted(run.key for job in made for run in job.runs) == sorted(asked)
        assert all(len({run.cell.batch for run in job.runs}) == 1 for job in made)
        assert len({job.log_name for job in made}) == len(made)
        return sorted([len(seeds) for _, seeds in by_cell(job.runs)] for job in made)

    assert jobs(9, 1) == [[2], [2] * 9]
    assert jobs(9, 3) == [[2], [2] * 3, [2] * 3, [2] * 3]
    assert jobs(3, 1) == [[2]] * 4  # few cells stay as they are
    assert jobs(9, 2) == [[2], [2] * 4, [2] * 5]
    assert jobs(9, 1, seconds=100.0) == [[2]] + [[2] * 3] * 3  # no job of much more than ten minutes


def test_cells_of_a_shape_stay_together_where_other_shapes_keep_the_workers_busy(tmp_path: Path) -> None:
    alike = load_plan(searched(tmp_path, 9)).cells[:9]
    missing = [(replace(cell, batch=f"shape {shape}"), cell.seeds) for shape in range(4) for cell in alike]
    made = make_jobs(missing, 2, {cell.folder: 1.0 for cell in alike})
    assert [len(job.runs) for job in made] == [18] * 4
    # Records may say that a run took no time.
    assert sum(len(job.runs) for job in make_jobs(missing, 2, {cell.folder: 0.0 for cell in alike})) == 72
    assert all(len({run.cell.batch for run in job.runs}) == 1 for job in made)


def test_runs_that_share_a_job_are_those_of_their_cells_alone(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    suite = searched(tmp_path, 8)
    for results, *arguments in (("together",), ("alone", "--only", "r3")):
        process = workplace.run(suite, "--results", results, "--workers", "1", *arguments)
        assert process.returncode == 0, process.stderr
    together, alone = workplace.records("together"), workplace.records("alone")
    assert set(together) == {(f"r{i}", seed) for i in range(8) for seed in (0, 1)} | {("other", 0), ("other", 1)}
    assert len({record["provenance"]["log"] for record in together.values()}) == 2
    assert set(alone) == {("r3", 0), ("r3", 1)}
    for key, record in alone.items():
        assert timeless(record) == timeless(together[key])
        assert record["provenance"]["seeds"] == together[key]["provenance"]["seeds"] == [0, 1]
    assert len({repr(timeless(record)["curve"]) for record in together.values()}) == 18


def test_the_index_is_opened_once_however_many_cells_have_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, opened = load_plan(searched(tmp_path, 8)), []
    store = Store(tmp_path / "results" / "searched")
    open_it = Index.__init__

    def counted(index: Index, root: Path) -> None:
        opened.append(root)
        open_it(index, root)

    monkeypatch.setattr(Index, "__init__", counted)
    run_plan(plan, store, Options())
    first = len(opened)
    more = replace(plan, cells=tuple(replace(cell, seeds=(0, 1, 2)) for cell in plan.cells))
    estimates = forecast(more, store, retry_failed=False).estimates
    assert len(estimates) == 9
    assert all(estimate.measured for estimate in estimates.values())
    assert len(opened) - first == 2  # one for what is stored, one for how long it took


def test_total_time_is_that_of_the_busiest_worker(plan: Plan) -> None:
    jobs = [Job.of(plan.cells[0], (seed,), seconds) for seed, seconds in enumerate((8.0, 5.0, 4.0, 2.0))]
    start = total_seconds(jobs[:1], 1) - 8.0
    assert total_seconds(jobs, 1) == start + 19.0
    assert total_seconds(jobs, 2) == start + 10.0  # 8 + 2 beside 5 + 4
    assert total_seconds([], 2) == 0.0


@pytest.mark.slow
def test_workers_and_company_never_show_in_a_curve(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    suite = tmp_path / "native.yaml"
    suite.write_text(SUITE, encoding="utf-8")
    for results, *arguments in (
        ("one", "--workers", "1"),
        ("two", "--workers", "2"),
        ("alone", "--workers", "1", "--set", "seeds=[2]"),
    ):
        process = workplace.run(suite, "--only", "reinforce", "--results", results, *arguments)
        assert process.returncode == 0, process.stderr
    one, two, alone = (workplace.records(results) for results in ("one", "two", "alone"))
    company = {
        results: [r["provenance"]["seeds"] for r in records.values()]
        for results, records in (("one", one), ("two", two))
    }
    assert company == {"one": [[0, 1, 2]] * 3, "two": [[0, 1], [0, 1], [2]]}
    curves = {key: timeless(record) for key, record in one.items()}
    assert curves == {key: timeless(record) for key, record in two.items()}
    assert {key: timeless(record) for key, record in alone.items()} == {("reinforce", 2): curves["reinforce", 2]}
    assert curves["reinforce", 0]["curve"] != curves["reinforce", 1]["curve"]


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """The plugin within reach of this very process."""
    from importlib import invalidate_caches

    from haepo_bench import catalogue

    workplace = Workplace(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("SICK", str(workplace.sick))
    invalidate_caches()
    for cached in (catalogue._plugins, catalogue.algorithm):
        cached.cache_clear()
    yield workplace
    for cached in (catalogue._plugins, catalogue.algorithm):
        cached.cache_clear()


def run(workplace: Workplace, algorithms: list[dict[str, Any]], **fields: Any) -> tuple[Store, Any]:
    plan = load_plan(workplace.suite(algorithms, **fields))
    store = Store(workplace.folder / "results" / plan.suite)
    return store, run_plan(plan, store, Options(quiet=True))


def test_workers_are_replaced_after_some_jobs(scripted: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "JOBS_A_WORKER", 2)
    monkeypatch.setattr(local, "BYTES_A_WORKER", 400 << 20)
    held = np.ones(64 << 20)  # 512 MiB of this process, which count for no worker
    store, outcome = run(scripted, [{"name": "a"}], seeds=5, execution={"workers": 1, "device": "cpu"})
    assert outcome.exit_code == 0
    headers = [path.read_text().splitlines()[0] for path in (store.root / "logs").rglob("*.log")]
    assert len({header.rpartition(" pid ")[2] for header in headers}) == 3
    assert held.all()


def test_workers_that_are_dead_on_arrival_end_the_run(scripted: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = load_plan(scripted.suite([{"name": "a"}]))
    store = Store(scripted.folder / "results" / plan.suite)
    monkeypatch.setattr(worker_process, "ONE_THREAD", {"PYTHONHOME": "/nonexistent"})
    outcome = run_plan(plan, store, Options(quiet=True))
    assert outcome.exit_code == 2
    assert len(outcome.runs) == 3
    for run in outcome.runs.values():
        assert run.error is not None
        assert "exited with code 1" in run.error.message
        assert (store.root / run.log).read_text()


def test_a_full_disk_ends_the_run_and_keeps_what_is_stored(
    scripted: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = load_plan(scripted.suite([{"name": "a"}], execution={"workers": 1, "device": "cpu"}))
    store = Store(scripted.folder / "results" / plan.suite)
    flushes = []
    flush = os.fsync

    def fsync(handle: int) -> None:
        flushes.append(handle)
        if len(flushes) > 3:  # the plan, what the cell executes, and one run
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(handle)

    pids: list[int] = []
    take = worker_process.WorkerProcess.take

    def note(worker: Any, *arguments: Any) -> None:
        pids.append(worker.process.pid)
        take(worker, *arguments)

    monkeypatch.setattr(store_module.os, "fsync", fsync)
    monkeypatch.setattr(worker_process.WorkerProcess, "take", note)
    with pytest.raises(UserError, match="the disk is full"):
        run_plan(plan, store, Options(quiet=True))
    monkeypatch.setattr(store_module.os, "fsync", flush)
    stored = [record for _, record in store.records()]
    assert [record.status for record in stored if isinstance(record, RunRecord)] == ["done"] * len(stored) == ["done"]
    assert not [path for path in store.root.rglob(".*") if path.name != ".lock"]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert run_plan(plan, store, Options(quiet=True)).exit_code == 0


def test_a_folder_that_was_renamed_is_not_believed(scripted: Workplace) -> None:
    store, outcome = run(scripted, [{"name": "a"}], seeds=1)
    assert outcome.exit_code == 0
    (folder,) = store.root.glob("*--a--*")
    plan = load_plan(scripted.suite([{"name": "a", "params": {"pause": 0.001}}], seeds=1))
    folder.rename(store.root / plan.cells[0].folder)
    with pytest.raises(UserError, match="holds another run"):
        forecast(plan, store, retry_failed=False)


def test_code_that_changes_under_a_run_is_noticed(scripted: Workplace) -> None:
    plan = load_plan(scripted.suite([{"name": "a"}], seeds=1))
    store = Store(scripted.folder / "results" / plan.suite)
    plugin = scripted.folder / "site" / "scripted.py"
    plugin.write_text(plugin.read_text() + "\nchanged = True\n")
    outcome = run_plan(plan, store, Options(quiet=True))
    assert outcome.exit_code == 2
    (run,) = outcome.runs.values()
    assert run.error is not None
    assert run.error.message == "what it executes has changed since this run was started: scripted"


def test_an_executor_that_is_stopped_first_starts_nothing() -> None:
    executor = LocalExecutor(workers=1, timeout_seconds=1.0, request=lambda job: pytest.fail("asked for a job"))
    executor.stop()
    assert list(executor.events(Queue([]))) == []
    executor.close()
