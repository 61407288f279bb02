"""`run` killed in the middle: the same command goes on from checkpoints, to the same bytes."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from execution_support import Workplace, members, timeless, wait_until

from haepo_bench.results.columns import CLOCK_COLUMNS

TASK = {"id": "random-walk/8", "budget": {"env_steps": 6_000}, "evaluation": {"every": 2_000, "episodes": 5}}
ALGORITHMS = [
    {"use": "grpo", "params": {"trajectories": 4}},
    {"use": "ppo-batched", "params": {"n_steps": 64, "n_envs": 2}},
]


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    yield place
    place.close()


def without_clocks(record: dict[str, Any]) -> dict[str, Any]:
    kept = timeless(record)
    return kept | {"curve": {name: c for name, c in kept["curve"].items() if name not in CLOCK_COLUMNS}}


@pytest.mark.slow
def test_what_was_killed_goes_on_to_the_same_bytes(workplace: Workplace) -> None:
    suite = workplace.suite(
        ALGORITHMS, tasks=[TASK], seeds=2, execution={"workers": 1, "device": "cpu", "checkpoint": 0}
    )
    cells = workplace.folder / "results" / "trial"
    for name in ("grpo", "ppo-batched"):
        process = workplace.start(suite, "--only", name)

        def kept(name: str = name) -> list[Path]:
            return list(cells.glob(f"*--{name}--*/seed-1.checkpoint"))

        wait_until(kept, f"a checkpoint of {name}", 60)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        wait_until(lambda pid=process.pid: not members(pid), "the workers' end", 5)
        assert kept()
    again = workplace.run(suite)
    assert again.returncode == 0, again.stderr
    assert not list(cells.glob("*/*.checkpoint*"))
    assert workplace.run(suite, "--results", "other", "--set", "execution.checkpoint=1h").returncode == 0
    killed, never = workplace.records(), workplace.records("other")
    assert {key: without_clocks(record) for key, record in killed.items()} == {
        key: without_clocks(record) for key, record in never.items()
    }
    assert len(killed) == 4
    for record in killed.values():
        (resumed,) = record["provenance"]["resumed"]
        assert resumed["iteration"] > 0
    assert not any("resumed" in record["provenance"] for record in never.values())


def test_run_says_which_long_runs_have_none(workplace: Workplace) -> None:
    suite = workplace.suite([{"use": "scripted"}, {"use": "grpo"}], tasks=[TASK], seeds=1)
    said = "no checkpoints, so that what is stopped starts from the beginning: scripted on random-walk/8"
    for seconds, says in (("0", True), ("1h", False)):
        dry = workplace.run(suite, "--dry-run", "--set", f"execution.checkpoint={seconds}")
        assert dry.returncode == 0, dry.stderr
        assert (said in " ".join(dry.stdout.split())) is says
        assert "grpo on" not in dry.stdout
    one = workplace.run(suite, "--only", "scripted", "--set", "execution.checkpoint=0")
    assert one.stderr.count(said) == 1, one.stderr
    assert json.loads(next(iter(workplace.files())).read_bytes())["status"] == "done"
