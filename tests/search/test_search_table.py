"""The compact table of a search: every run once, under what it was made for."""

from pathlib import Path

import pytest
from benchmark_scripts import load
from search_support import new_store, noise, play

from haepo_bench.results.frames import frames
from haepo_bench.results.selection import select
from haepo_bench.search.tuning import Tuning
from haepo_bench.suite.resolve import load_plan

SUITE = """\
name: suite
seeds: 5
budget: {env_steps: 100}
evaluation: {every: 25}
tasks: [random-walk/4, corridor/8]
algorithms: [{use: rloo, name: mine}, ppo-batched, uniform]
claims: {candidate: mine, made: [converges fast]}
search: {trials: 3, seeds: 2, replicates: 4}
"""


def test_it_holds_every_run_once_under_what_it_was_made_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    store = new_store(tmp_path, "whole")
    play(Tuning(load_plan(path, tune=True), store), lambda cell, seed: 0.5 + 0.1 * noise(cell, seed))

    selection = select(store)
    assert selection.search is not None
    search_table = load("search_table")
    found = search_table.table(frames(selection.cells).runs, selection.search)

    roles = found.groupby(["algorithm", "role"]).size().to_dict()
    for name in ("mine", "ppo-batched"):
        assert roles[name, "trial"] == 4 * 3 * 2 * 2  # replicates, trials, tuning seeds, tasks
        assert roles[name, "choice"] == 4 * 2
        assert roles[name, "choice per task"] == 4 * 2
        assert roles[name, "default"] == 4 * 2
        assert roles[name, "finalist"] % 8 == 0
    assert roles["uniform", "control"] == 4 * 2
    assert len(found) == len(list(store.root.rglob("seed-*.json*")))

    # What was chosen is the best trial on the tuning seeds, by the table alone.
    tried = found[(found["role"] == "trial") & (found["algorithm"] == "mine") & (found["replicate"] == 2)]
    best = tried.groupby("trial")["area"].mean().idxmax()
    choice = found[(found["role"] == "choice") & (found["algorithm"] == "mine") & (found["replicate"] == 2)]
    assert set(choice["trial"]) == {best}

    first, second = tmp_path / "first.csv.gz", tmp_path / "second.csv.gz"
    for out in (first, second):
        monkeypatch.setattr("sys.argv", ["search_table.py", str(store.root), "--out", str(out)])
        search_table.main()
    assert first.read_bytes() == second.read_bytes()
    assert f"({len(found):,} runs)" in capsys.readouterr().out
