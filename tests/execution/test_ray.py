"""Ray: what is refused, what travels, and what is lost with a worker or a node."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from execution_support import Workplace, wait_until
from ray_support import Nodes, settings

from haepo_bench.errors import UserError
from haepo_bench.execution.parcels import SuiteFiles, missing_from_here, pack, unpack
from haepo_bench.execution.ray_cluster import RayCluster
from haepo_bench.execution.worker import Request
from haepo_bench.suite.plan import PlannedRun, RayJobs
from haepo_bench.suite.resolve import load_plan

pytest.importorskip("ray")


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    place.environment |= settings(tmp_path)
    place.environment.pop("RAY_ADDRESS", None)
    yield place
    place.close()


@pytest.mark.parametrize(
    ("address", "variables", "where", "says"),
    [
        ("ray://head:10001", {}, "--address", "'ray://head:10001' cannot be used"),
        ("auto", {"RAY_ADDRESS": "ray://head:10001"}, "RAY_ADDRESS", "'ray://head:10001' cannot be used"),
        ("head", {}, "--address", "'head' is not an address"),
        ("127.0.0.1:9", {}, "", "no Ray cluster answers at 127.0.0.1:9"),
    ],
)
def test_addresses_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, address: str, variables: dict[str, str], where: str, says: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=says) as caught:
        RayCluster(RayJobs(address))
    assert caught.value.where == where
    assert caught.value.remedy


def test_folders_that_are_sent_by_mistake(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(UserError, match=r"holds \.git") as caught:
        RayCluster(RayJobs("local", runtime_env={"working_dir": str(tmp_path)}))
    assert caught.value.where == "execution.ray.runtime_env.working_dir"
    (tmp_path / ".git").rmdir()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(101 << 20)
    with pytest.raises(UserError, match="has 101 MiB"):
        RayCluster(RayJobs("local", runtime_env={"working_dir": str(tmp_path)}))


@pytest.mark.parametrize(
    ("arguments", "execution", "says"),
    [
        (["--address", "auto"], {}, "--address: needs --executor ray"),
        (["--executor", "ray", "--address", "ray://head:10001"], {}, "ray job submit"),
        (["--executor", "ray"], {"ray": {"num_gpus": -1}}, "execution.ray.num_gpus"),
    ],
)
def test_the_command_refuses_before_anything_is_written(
    workplace: Workplace, arguments: list[str], execution: Any, says: str
) -> None:
    done = workplace.run(workplace.suite([{"name": "a"}], execution=execution), *arguments)
    assert done.returncode == 4
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(workplace.folder.glob("results/*/plan.json"))


def test_what_a_job_needs_travels_and_what_it_leaves_is_known_by_name(tmp_path: Path) -> None:
    folder, model = tmp_path / "suite", tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    model.mkdir()
    (folder / "deep" / "own.py").write_text(OWN)
    (folder / "deep" / "helper.py").write_text("two = 2\n")
    (folder / "table.json").write_text("[1]")
    (folder / "unused.py").write_text("")
    algorithm = {"use": "./deep/own.py", "files": ["table.json"]}
    document = {"name": "own", "seeds": 2, "budget": {"env_steps": 20}, "tasks": ["bandit/10-arm"]}
    (folder / "own.yaml").write_text(json.dumps({**document, "algorithms": [algorithm]}))
    (cell,) = load_plan(folder / "own.yaml").cells
    store = tmp_path / "store"
    store.mkdir()
    (store / "1.checkpoint").write_bytes(b"state")
    request = Request(
        suite="own", runs=(PlannedRun(cell, 0), PlannedRun(cell, 1)), device="cpu", provenance={}, log=store / "a.log",
        policies=[store / "0.npz", store / "1.npz"], checkpoints=[store / "0.checkpoint", store / "1.checkpoint"],
        checkpoint_seconds=1.0,
    )  # fmt: skip

    parcel, places = pack(request)
    files = SuiteFiles.of([cell])
    there = tmp_path / "there"
    (there / "job").mkdir(parents=True)
    arrived = unpack(parcel, files, there / "job", there)

    assert str(store) not in repr(parcel)
    assert sorted(files.contents) == ["deep/helper.py", "deep/own.py", "table.json"]
    assert {there / "job" / name for name in places} == {arrived.log, *arrived.policies, *arrived.checkpoints}
    assert [places[path.name] for path in arrived.policies] == request.policies
    assert arrived.checkpoints[1].read_bytes() == b"state"
    assert not arrived.checkpoints[0].exists()
    # What arrived is the suite's folder as far as the cell needs it: the same cell follows from it.
    (own,) = {run.cell.lookup.folder for run in arrived.runs}
    assert own is not None
    (own / "own.yaml").write_text((folder / "own.yaml").read_text())
    (same,) = load_plan(own / "own.yaml").cells
    assert (same.settings_hash, same.code_hash) == (cell.settings_hash, cell.code_hash)


OWN = """
from haepo_bench.api import Objective, ObjectiveOutput, TrajectoryBatch

from .helper import two


class Own(Objective):
    '''loss = - 2/K sum_k R_k L_k'''

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        weighted = batch.returns.to(batch.dtype) * batch.masked_sum(batch.log_probs)
        return ObjectiveOutput(-two * weighted.mean((-1, -2)), {})
"""


def test_a_model_by_path_is_demanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"name": "own", "seeds": 2, "budget": {"env_steps": 20}, "tasks": ["bandit/10-arm"]}
    (tmp_path / "own.yaml").write_text(json.dumps({**document, "algorithms": ["reinforce"]}))
    (cell,) = load_plan(tmp_path / "own.yaml").cells
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    address = "lm/arithmetic@models/tiny"
    cell = replace(cell, lookup=replace(cell.lookup, address=address), options={"reward_model": "on/the-hub"})
    request = Request("own", (PlannedRun(cell, 0),), "cpu", {}, tmp_path / "a.log", [], [tmp_path / "c"], 1.0)
    parcel, _ = pack(request)
    assert parcel.demanded == ((str(tmp_path / "models" / "tiny"), "the model"),)
    assert missing_from_here(parcel) == []
    (tmp_path / "models" / "tiny").rmdir()
    assert missing_from_here(parcel) == [f"the model {tmp_path}/models/tiny"]


@pytest.mark.slow
def test_what_is_lost_with_a_worker_and_with_a_node_is_run_again(workplace: Workplace, nodes: Nodes) -> None:
    """A worker of Ray's is killed, then a node: it costs their jobs one attempt each."""
    variables = {name: workplace.environment[name] for name in ("SICK", "PYTHONPATH")}
    execution = {"executor": "ray", "ray": {"runtime_env": {"env_vars": variables}}}
    suite = workplace.suite([{"name": "a", "params": {"pause": 0.8}}], seeds=4, execution=execution)
    process = workplace.start(suite, "--address", nodes.address, "--quiet")
    wait_until(lambda: len(ray_workers(workplace)) == 2, "two workers of Ray's", 150)
    os.kill(ray_workers(workplace)[0], signal.SIGKILL)
    wait_until(lambda: losses(workplace), "a loss", 100)
    nodes.remove_the_second()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert workplace.statuses() == {("a", seed): "done" for seed in range(4)}
    assert set(losses(workplace)) == {"WorkerDied"}
    for record in workplace.records().values():
        assert all(record["provenance"][what] for what in ("node", "cpu", "versions"))
        assert (workplace.folder / "results" / "trial" / record["provenance"]["log"]).read_text().startswith("---")
    wait_until(lambda: not ray_workers(workplace), "the end of the workers", 20)


def ray_workers(place: Workplace) -> list[int]:
    """Ray's own processes that run jobs of a workplace, the oldest first."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            of_place = f"SICK={place.sick}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if of_place and (folder / "cmdline").read_bytes().startswith(b"ray::run_job"):
                found.append(int(folder.name))
    return sorted(found)


def losses(place: Workplace) -> list[str]:
    """Types of the machine's failures among all attempts."""
    kinds = []
    for record in place.records().values():
        kinds += [attempt["type"] for attempt in record["attempts"]]
    return kinds
