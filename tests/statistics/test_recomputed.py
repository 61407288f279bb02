"""Every number in report.json, recomputed from the stored files by code that shares nothing with ours."""

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import plain_formulas
import pytest
import recomputation
from synthetic_runs import declaration_of, put, put_plan, record

from haepo_bench.report.csv_files import more_csv
from haepo_bench.report.files import render
from haepo_bench.report.numbers.build import build_report
from haepo_bench.results.claims import DeclaredClaims, ScoreBounds
from haepo_bench.results.store import Store

SEEDS = 21
TASKS: dict[str, tuple[float, float] | None] = {
    "bandit/10-arm": (0.1, 1.5),
    "noise(bandit/10-arm,0.5)": (0.1, 1.5),
    "gym/CartPole-v1": (22.0, 500.0),
    "gym/Pendulum-v1": None,
    "noise(random-reward(bandit/10-arm),0.5)": (0.1, 1.5),
}
NAMES = ("haepo-weighted", "haepo-listwise", "grpo", "ppo")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Everything that moves a number: missing, failed and diverged runs, collapses, ties, seeds added later."""
    store = Store(tmp_path_factory.mktemp("results") / "made-up")
    rng = np.random.default_rng(7)
    claims = {"candidates": list(NAMES[:2]), "baselines": list(NAMES[2:]), "margin": 0.1, "threshold": 0.7}
    cells = [record(task, name) for task in TASKS for name in NAMES]
    bounds = {task: ScoreBounds(low=-0.25, high=1.2) for task, references in TASKS.items() if references}
    declaration = declaration_of(cells, range(SEEDS), DeclaredClaims(**claims), bounds)
    runs = []
    for t, (task, references) in enumerate(TASKS.items()):
        low, high = references or (-1300.0, -200.0)
        for a, name in enumerate(NAMES):
            for seed in range(SEEDS):
                level = (0.95, 0.3, 0.6, 0.5)[a] - 0.02 * t
                score = level * (1 - np.exp(-(1.5 + a) * np.linspace(0, 2, 9))) + rng.normal(0, 0.06, 9)
                if (seed + a) % 9 == 0 and t < 2:
                    score[-2:] *= 0.35
                runs.append(_run(rng, task, name, seed, low + (high - low) * score, references, declaration))
    put_plan(store, runs, list(range(SEEDS)), claims=claims, declaration=declaration,
             bounds={task: each.model_dump() for task, each in bounds.items()})  # fmt: skip
    put(store, *(run for run in runs if (run.task, run.algorithm, run.seed) not in
                 {("bandit/10-arm", "grpo", 18), ("gym/CartPole-v1", "haepo-weighted", 20)}))  # fmt: skip
    return store


def _run(
    rng: np.random.Generator,
    task: str,
    name: str,
    seed: int,
    returns: Any,
    references: tuple[float, float] | None,
    declaration: str,
) -> Any:
    status, error, alive = "done", None, 9
    if (task, name, seed) in {("bandit/10-arm", "ppo", 1), ("gym/Pendulum-v1", "grpo", 2)}:
        status, error, alive = "diverged", "not finite", 5
    if (task, name, seed) == ("gym/CartPole-v1", "ppo", 4):
        status, error = "failed", "the environment went away"
    values = [*returns[:alive].tolist(), *[None] * (9 - alive)]
    run = record(
        task,
        name,
        seed,
        returns=values,
        marks=list(range(0, 900, 100)),
        references=references,
        status=status,
        error=error,
    )
    later = name == "haepo-listwise" and seed >= 19
    provenance = {"started": f"2026-01-0{2 if later else 1}", "declaration": "another" if later else declaration}
    curve = dict(run.curve)
    if status != "failed":
        place = np.arange(9) * (0.5 + 0.2 * NAMES.index(name)) * (1 + 0.1 * rng.random())
        curve["wall_seconds"] = [*place[:alive].tolist(), *[None] * (9 - alive)]
        if "bandit" in task:
            curve["relative_coverage"] = [None, *rng.uniform(0.3, 1, alive - 1).tolist(), *[None] * (9 - alive)]
            curve["reward_alignment"] = [None, *rng.uniform(-0.2, 0.9, alive - 1).tolist(), *[None] * (9 - alive)]
            curve["goals_retained"] = rng.integers(0, 3, 9).astype(float).tolist()
            if seed % 4:
                curve["relative_first_success"] = [None] * 4 + [0.3 + 0.1 * (seed % 4) * NAMES.index(name)] * 5
            # Draws of their own, so that all other numbers stay as they are.
            paid = np.random.default_rng([seed, len(name)])
            for column, low, high in (
                ("kl_initial", 0.0, 9.0),
                ("proxy_return", 1.0, 4.0),
                ("proxy_return_std", 0.5, 1.5),
                ("eval_return_std", 0.2, 0.4),
            ):
                curve[column] = [*paid.uniform(low, high, alive).tolist(), *[None] * (9 - alive)]
    return run.model_copy(update={"curve": curve, "provenance": provenance})


#: What seeds that were not run would bring (tests/statistics/test_planning.py).
FORETOLD = ("more_seeds", "fewest_seeds")


def numbers(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number of a document by its place; null too, because a number might stand there."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from numbers(value, f"{path}.{key}")
    elif isinstance(document, list):
        for i, value in enumerate(document):
            yield from numbers(value, f"{path}[{i}]")
    elif document is None or (isinstance(document, (int, float)) and not isinstance(document, bool)):
        yield path, document


def test_every_number_is_recomputed_from_the_files(store: Store) -> None:
    suite = json.loads(render(build_report(store.root), "json"))["suites"][0]
    expected = dict(numbers(recomputation.Suite(store.root).document()))
    found = dict(numbers(suite))
    # Verdicts that are undefined stand beside the numbers that are.
    found = {path: value for path, value in found.items() if not path.endswith(FORETOLD)}
    unknown = [path for path, value in found.items() if path not in expected and value is not None]
    assert not unknown, unknown[:10]
    assert sum(value is not None for value in found.values()) > 9_000
    wrong = []
    for path, value in expected.items():
        if path not in found:
            wrong.append((path, "not in the report", value))
        elif value is None or found[path] is None:
            wrong += [] if value is found[path] else [(path, found[path], value)]
        elif not math.isclose(found[path], value, rel_tol=1e-7, abs_tol=1e-7):
            wrong.append((path, found[path], value))
    assert not wrong, (len(wrong), wrong[:10])


def test_verdicts_are_recomputed_too(store: Store) -> None:
    card = json.loads(render(build_report(store.root), "json"))["suites"][0]["scorecard"]
    theirs = recomputation.Suite(store.root).document()["scorecard"]
    states = []
    for claim, other in zip(card["claims"], theirs["claims"], strict=True):
        for part in ("readings", "by_task", "by_feedback"):
            for a, b in zip(claim[part], other[part], strict=True):
                for name in ("verdict", "state"):
                    assert a[name] == b[name], (claim["claim"], part, name)
                states.append(a["state"])
    assert {"supported", "no better", "undecided"} <= set(states)


def test_the_exported_tables_are_enough(store: Store) -> None:
    """Means, aggregates, profiles and probabilities of improvement follow from runs.csv alone."""
    document = build_report(store.root)
    tables = {name: list(csv.DictReader(io.StringIO(text))) for name, text in more_csv(document).items()}
    scores: dict[tuple[str, str], list[float]] = {}
    for row in tables["runs.csv"]:
        if row["final_score"]:
            scores.setdefault((row["algorithm"], row["task"]), []).append(float(row["final_score"]))
    for row in csv.DictReader(io.StringIO(render(document, "csv"))):
        if row["measure"] == "final_score":
            assert float(row["mean"]) == pytest.approx(np.mean(scores[row["algorithm"], row["task"]]))
            assert int(row["n"]) == len(scores[row["algorithm"], row["task"]])
    for row in tables["wide.csv"]:
        own = scores.get((row["algorithm"], row["task"]))
        assert (row["final_score_mean"] == "") == (own is None)
        assert own is None or float(row["final_score_mean"]) == pytest.approx(np.mean(own))
    for row in tables["aggregates.csv"]:
        tasks = row["tasks"].split("; ")
        shares = dict(zip(tasks, plain_formulas.shares(tasks), strict=True))
        if row["statistic"] == "mean":
            mean = sum(share * np.mean(scores[row["algorithm"], task]) for task, share in shares.items())
            assert float(row["value"]) == pytest.approx(mean)
    for row in tables["profiles.csv"]:
        above = sum(
            share * np.mean(np.array(scores[row["algorithm"], task]) > float(row["threshold"]))
            for task, share in shares.items()
        )
        assert float(row["share"]) == pytest.approx(above)
    for row in tables["improvement.csv"]:
        if row["task"] and row["measure"] == "final_score":
            sides = (scores[row[name], row["task"]] for name in ("candidate", "baseline"))
            assert float(row["probability"]) == pytest.approx(plain_formulas.beats(*sides)[0])


def test_runs_of_another_declaration_are_labelled_everywhere(store: Store) -> None:
    document = build_report(store.root)
    for task in document.suites[0].tasks:
        for result in task.algorithms:
            expected = [19, 20] if result.algorithm == "haepo-listwise" else []
            assert result.seeds.exploratory == expected
            assert [run.seed for run in result.runs if run.exploratory] == expected
    assert render(document, "md").count("haepo-listwise, seeds 19, 20: exploratory") == len(TASKS)
    assert "2 exploratory" in render(document, "latex")
    rows = list(csv.DictReader(io.StringIO(more_csv(document)["wide.csv"])))
    assert {(row["algorithm"], row["exploratory"]) for row in rows} == {
        *((name, "0") for name in NAMES if name != "haepo-listwise"),
        ("haepo-listwise", "2"),
    }
