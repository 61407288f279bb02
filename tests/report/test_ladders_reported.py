"""Ladders in the report: which tasks make one, and what document and table say."""

import json
from pathlib import Path

import pytest
from cli_support import run_apart
from synthetic_runs import put, put_plan, record

from haepo_bench.report.numbers.ladders import _size
from haepo_bench.results.store import Store


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("deep-sea/10", ("deep-sea/<n>", 10)),
        ("delayed(maze/7)", ("delayed(maze/<n>)", 7)),
        ("noise(delayed(random-walk/20),0.5)", ("noise(delayed(random-walk/<n>),0.5)", 20)),
        ("gym/MiniGrid-DoorKey-8x8-v0", ("gym/MiniGrid-DoorKey-<n>x<n>-v0", 8)),
        ("gym/MiniGrid-KeyCorridorS3R2-v0", ("gym/MiniGrid-KeyCorridorS3R<n>-v0", 2)),
        ("corridor/equal", None),
        ("bandit/10-arm", None),
        ("multi-goal/4", None),
        ("gym/CartPole-v1", None),
    ],
)
def test_what_a_size_is(task: str, found: tuple[str, int] | None) -> None:
    assert _size(task) == found


def test_the_report_has_them_in_the_document_and_in_words(tmp_path: Path) -> None:
    """`reinforce` solves 4 and 6 on all of 8 seeds and 8 on none; `grpo` 4 on half of them, and it lacks runs."""
    runs = []
    for size, solved in ((4, 8), (6, 8), (8, 0)):
        runs += [record(f"deep-sea/{size}", seed=s, returns=[0.0, 1, 1, 1, 2.0 * (s < solved)]) for s in range(8)]
    runs += [record("deep-sea/4", "grpo", s, returns=[0.0, 1, 1, 1, 1.8 * (s < 4)]) for s in range(8)]
    runs += [record("deep-sea/6", "grpo", s, returns=[0.0, 1, 1, 1, 1.7]) for s in range(2)]
    runs += [record("random-walk/20", seed=0), record("corridor/equal", seed=0)]
    store = Store(tmp_path / "made-up")
    put(store, *runs)
    put_plan(store, runs, list(range(8)))
    done = run_apart("report", str(store.root), "--format", "json", "--out", str(tmp_path / "out"))
    assert done.code == 0, done.err
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    (ladder,) = document["suites"][0]["ladders"]
    assert (ladder["name"], ladder["sizes"], ladder["threshold"]) == ("deep-sea/<n>", [4, 6, 8], 0.9)
    places = {place["algorithm"]: place for place in ladder["places"]}
    # Eight of eight have a chance of 1 in 256 at one half, none of eight likewise.
    assert [places["reinforce"][key] for key in ("largest", "low", "high")] == [6, 6, 6]
    # Two runs below the threshold rule nothing out, and what was not run is not ruled out either.
    assert [places["grpo"][key] for key in ("largest", "low", "high")] == [4, None, 8]
    assert [(step["size"], step["solved"]) for step in places["grpo"]["steps"]] == [(4, 4), (6, 0)]
    done = run_apart("report", str(store.root), "--format", "md", "--out", str(tmp_path / "out"))
    assert done.code == 0, done.err
    text = (tmp_path / "out" / "report.md").read_text()
    assert "largest size that half of the seeds solve" in text
    (line,) = [line for line in text.splitlines() if "below 4, 8 or more" in line]
    assert "4 of 8" in line
    assert "0 of 2" in line
