"""A suite in shards, each in a process and a folder of its own, and what merging them gives."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from execution_support import Workplace, timeless

ALGORITHMS = [
    {"name": "batched", "params": {"batched": True}},
    {"name": "single"},
    {"use": "reinforce", "params": {"hidden": [8], "trajectories": 4, "epochs": 1}},
]


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    place.sick.unlink()
    yield place
    place.close()


def program(place: Workplace, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "haepo_bench", *arguments],
        cwd=place.folder, env=place.environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def runs_in(root: Path) -> dict[tuple[str, int], dict[str, object]]:
    documents = [json.loads(file.read_bytes()) for file in root.glob("*--*/seed-*.json")]
    return {(document["algorithm"], document["seed"]): document for document in documents}


def test_shards_on_machines_that_know_different_things_make_the_whole(workplace: Workplace) -> None:
    suite = workplace.suite(ALGORITHMS, seeds=4)
    assert workplace.run(suite, "--results", "whole", "--quiet").returncode == 0
    # The second machine has measured the first half of the seeds before, in the folder of its shard.
    first = workplace.run(suite, "--results", "one", "--shard", "1/2")
    assert first.returncode == 0, first.stderr
    assert "trial, shard 1/2: " in first.stderr
    assert "haepo-bench merge one/trial/shards --into one/trial" in first.stdout
    earlier = workplace.run(suite, "--results", "two", "--set", "seeds=[0, 1]", "--quiet")
    assert earlier.returncode == 0
    (workplace.folder / "two" / "trial").rename(workplace.folder / "2-of-2")
    (workplace.folder / "two" / "trial" / "shards").mkdir(parents=True)
    (workplace.folder / "2-of-2").rename(workplace.folder / "two" / "trial" / "shards" / "2-of-2")
    dry = workplace.run(suite, "--results", "two", "--shard", "2/2", "--dry-run")
    assert dry.returncode == 0
    assert workplace.run(suite, "--results", "two", "--shard", "2/2", "--quiet").returncode == 0

    shards = [workplace.folder / "one" / "trial" / "shards" / "1-of-2", *workplace.folder.glob("two/trial/shards/*")]
    one, two = (runs_in(shard) for shard in shards)
    whole = runs_in(workplace.folder / "whole" / "trial")
    assert len(whole) == 12
    assert one.keys() | two.keys() == whole.keys()
    kept = {key for key in two if key[1] in (0, 1)}
    assert one.keys().isdisjoint(two.keys() - kept)
    merged = program(workplace, "merge", *map(str, shards), "--into", "merged")
    # What both had is equal; the machine's earlier runs were declared with fewer seeds.
    assert merged.returncode == 0, merged.stderr
    assert "missing" not in merged.stdout
    found = runs_in(workplace.folder / "merged")
    assert {key: timeless(run) for key, run in found.items()} == {key: timeless(run) for key, run in whole.items()}
    again = program(workplace, "run", str(suite), "--results", "x", "--dry-run")
    assert again.returncode == 0
    plans = [json.loads((folder / "plan.json").read_text()) for folder in (*shards, workplace.folder / "merged")]
    assert len({plan["declaration"] for plan in plans}) == 1
    assert all(plan["cells"] == plans[0]["cells"] for plan in plans)


def test_shards_beyond_the_runs_have_nothing_to_do(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a"}], seeds=2)
    for shard, code, says in (
        ("3/3", 0, "shard 3/3 has nothing to do: there are fewer runs (2) than shards"),
        ("4/3", 4, "there is no shard '4/3'"),
    ):
        done = workplace.run(suite, "--shard", shard)
        assert done.returncode == code, done.stderr
        assert says in done.stdout + done.stderr
        assert not (workplace.folder / "results").exists()
