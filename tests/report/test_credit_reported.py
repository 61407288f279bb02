"""Credit token by token in the report."""

import json
from pathlib import Path

import pytest
from cli_support import run_apart
from synthetic_runs import put, put_plan, record

from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store

SEEDS = [0, 1, 2]


def credited(task: str, algorithm: str, seed: int, *, answer: bool) -> RunRecord:
    """A run whose last evaluation has 0.5 + 0.1 seed of reward, a tenth of it each on the first two thirds."""
    run = record(task, algorithm, seed)
    ends = {
        "implicit_reward": 0.5 + 0.1 * seed,
        "credit_first_third": 0.1,
        "credit_middle_third": 0.1,
        "credit_last_third": 0.8,
        "credit_largest_tenth": 0.62,
        "credit_telescoping": 2e-7,
    } | ({"credit_answer": 0.03, "credit_answer_tokens": 0.04} if answer else {})
    marks = len(run.curve["env_steps"])
    more = {name: [None] * (marks - 1) + [value] for name, value in ends.items()}
    return run.model_copy(update={"curve": {**run.curve, **more}})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("results") / "made-up")
    runs = [credited("lm/scratchpad", "dpo", seed, answer=True) for seed in SEEDS]
    runs += [credited("lm/arithmetic", "dpo", seed, answer=False) for seed in SEEDS]
    runs += [record("lm/scratchpad", "grpo", seed) for seed in SEEDS]
    runs += [record("bandit/10-arm", "grpo", seed) for seed in SEEDS]
    put_plan(store, runs, SEEDS)
    put(store, *runs)
    return store.root


def test_every_format_shows_where_the_implicit_reward_is(root: Path, tmp_path: Path) -> None:
    """Mean 0.6 over seeds; the answer's columns only where there are answers, no row without an implicit reward."""
    done = run_apart("report", str(root), "--format", "md")
    assert done.code == 0, done.err
    tables = done.out.split("lm/scratchpad: credit token by token")[1].split("\n#")[0]
    (row,) = [line for line in tables.splitlines() if line.startswith("| dpo")]
    shown = [cell.split()[0].rstrip(":") for cell in row.split("|")[1:-1]]
    assert shown == ["dpo", "3/3", "0.600", "0.10", "0.10", "0.80", "0.62", "0.03", "0.04"]
    assert "Answer, share of tokens" in tables
    assert "within 2e-07 (reward)" in tables
    assert "grpo" not in tables.split("diagnostics at the end")[0]
    other = done.out.split("lm/arithmetic: credit token by token")[1].split("\n#")[0].split("diagnostics at the end")[0]
    assert "Answer" not in other
    assert "bandit/10-arm: credit" not in done.out
    done = run_apart("report", str(root), "--out", str(tmp_path))
    assert done.code == 0, done.err
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<h4>Credit token by token</h4>") == 2
    done = run_apart("report", str(root), "--format", "latex")
    assert "credit token by token" in done.out
    done = run_apart("report", str(root), "--format", "json")
    (task,) = [one for one in json.loads(done.out)["suites"][0]["tasks"] if one["task"] == "lm/scratchpad"]
    assert task["algorithms"][0]["diagnostics"]["implicit_reward"]["mean"] == pytest.approx(0.6)
