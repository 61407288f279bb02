"""What verdicts used to decide without being able to, through the real program: one report on a suite for each case."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims_support import BASELINE, READING, curves, declared, runs
from cli_support import run_apart
from plain_verdicts import bets, rising
from synthetic_runs import put, put_plan, record

from haepo_bench.results.store import Store

SEEDS = 30


def beta(seed: int, n: int = SEEDS) -> list[list[float]]:
    """Two-humped scores."""
    return [[float(value)] * 5 for value in np.random.default_rng(seed).beta(2, 0.3, size=n)]


def failed(task: str, name: str, n: int = SEEDS) -> list[Any]:
    return [record(task, name, seed, status="failed", error="the loss went away") for seed in range(n)]


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """{case: the suite in the JSON}, by one run of the program."""
    folder = tmp_path_factory.mktemp("results")
    walk, level = "random-walk/20", curves(2, 0.5)
    lost = [
        record(walk, name, seed, returns=[0.0, None, None, None, None], status="diverged")
        for name in (READING, BASELINE)
        for seed in range(60)
    ]
    cases: dict[str, tuple[list[Any], int]] = {
        "no spread, five seeds": ([*runs([[0.95] * 5] * 5), *runs([[0.5] * 5] * 5, algorithm=BASELINE)], 5),
        "one in five collapses": (
            [*runs([[0.87] * 5] * 4 + [[0.0] * 5]), *runs(curves(3, 0.6, 5), algorithm=BASELINE)],
            5,
        ),
        "fails on all seeds of a task": (
            [
                *runs(curves(1, 0.8), walk), *runs(level, walk, BASELINE),
                *failed("corridor/4", READING), *runs(level, "corridor/4", BASELINE),
            ],
            SEEDS,
        ),
        "both diverge everywhere": (lost, 60),
        "three baselines, two of them bad": (
            [
                *runs(curves(1, 0.5), walk),
                *(run for i, mean in enumerate((0.5, 0.2, 0.2)) for run in runs(curves(9 + i, mean), walk, f"b{i}")),
            ],
            SEEDS,
        ),
        "five equal seeds at the top": ([*runs([[1.0] * 5] * 5, walk), *runs(beta(5, 4), walk, BASELINE)], 5),
        "a baseline lacks a task": (
            [
                *runs(curves(1, 0.85), walk), *runs(level, walk, BASELINE), *runs(level, walk, "ppo"),
                *runs(curves(4, 0.85), "corridor/4"), *runs(level, "corridor/4", BASELINE),
                record("corridor/4", "ppo", 0, status="interrupted", error="interrupted"),
            ],
            SEEDS,
        ),
        "margins of single claims": ([*runs(curves(1, 0.5), walk), *runs(curves(2, 0.53), walk, BASELINE)], SEEDS),
    }  # fmt: skip
    for name, (stored, n) in cases.items():
        margins = {"converges fast": 0.4} if name.startswith("margins") else {}
        declared(folder / name, stored, n, margins=margins)
        plan = folder / name / "plan.json"
        plan.write_text(plan.read_text().replace('"made-up"', json.dumps(name), 1))
    done = run_apart("report", str(folder), "--format", "json", cwd=folder)
    assert done.code == 0, done.err
    found = {suite["suite"]: suite for suite in json.loads(done.out)["suites"]}
    assert set(found) == set(cases)
    return found


def claim(suite: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in suite["scorecard"]["claims"] if each["claim"] == name)


@pytest.mark.parametrize("case", ["no spread, five seeds", "one in five collapses"])
def test_five_seeds_that_look_alike_decide_nothing(suites: dict[str, Any], case: str) -> None:
    for name in ("converges fast", "robust"):
        (reading,) = claim(suites[case], name)["readings"]
        assert reading["state"] == "undecided"
        (comparison,) = reading["comparisons"]
        assert comparison["low"] < comparison["difference"] < comparison["high"]


def test_who_fails_everywhere_on_a_task_is_judged_there(suites: dict[str, Any]) -> None:
    suite = suites["fails on all seeds of a task"]
    for name in ("converges fast", "better or at par"):
        found = claim(suite, name)
        assert found["tasks"] == ["random-walk/20", "corridor/4"]
        assert found["readings"][0]["state"] != "supported"
        assert found["readings"][0]["comparisons"][0]["failed"] == SEEDS
        assert {r["tasks"][0]: r["state"] for r in found["by_task"]}["corridor/4"] == "worse"


def test_to_learn_nothing_together_is_not_to_be_at_par(suites: dict[str, Any]) -> None:
    par = claim(suites["both diverge everywhere"], "better or at par")
    assert par["readings"][0]["state"] == "not assessable"
    assert "no baseline is shown to be above random by 0.1 on random-walk/20" in par["readings"][0]["reason"]
    assert par["supported"] == 0


def test_not_supported_by_one_of_several_baselines_pays_for_their_number(suites: dict[str, Any]) -> None:
    suite = suites["three baselines, two of them bad"]
    (reading,) = claim(suite, "converges fast")["readings"]
    own = [curve[0] for curve in curves(1, 0.5)]
    others = [[curve[0] for curve in curves(9 + i, mean)] for i, mean in enumerate((0.5, 0.2, 0.2))]
    single = [bets(other, own, -0.1, 0.0, 1.0) for other in others]
    mean = [math.log(sum(map(math.exp, at)) / 3) for at in zip(*single, strict=True)]
    assert reading["against_claim"]["log_evidence"] == pytest.approx(rising(mean))
    # "Supported" takes the baseline that is hardest to beat, without a factor for their number.
    hardest = [min(at) for at in zip(*(rising(bets(own, other, 0.0, 0.0, 1.0)) for other in others), strict=True)]
    assert reading["for_claim"]["log_evidence"] == pytest.approx(hardest)
    assert reading["for_claim"]["needed"] == reading["against_claim"]["needed"] == pytest.approx(20)


def test_intervals_stay_within_what_is_possible(suites: dict[str, Any]) -> None:
    (task,) = suites["five equal seeds at the top"]["tasks"]
    top, few = task["algorithms"]
    assert top["final_score"]["mean"] == 1
    assert 0 < top["final_score"]["low"] < 1 == top["final_score"]["high"]
    assert (few["final_score"]["low"], few["final_score"]["high"]) == (None, None)
    assert len(few["curve"]["score"]["seeds"]) == 4
    for suite in suites.values():
        for each in (result for task in suite["tasks"] for result in task["algorithms"]):
            if each["final_score"]["low"] is not None:
                assert 0 <= each["final_score"]["low"] < each["final_score"]["high"] <= 1
                band = each["curve"]["score"]
                ends = [(low, high) for low, high in zip(band["low"], band["high"], strict=True) if low is not None]
                assert all(0 <= low < high <= 1 for low, high in ends)


def test_one_missing_cell_drops_a_task_for_nobody(suites: dict[str, Any]) -> None:
    (reading,) = claim(suites["a baseline lacks a task"], "converges fast")["readings"]
    found = {each["baseline"]: (len(each["tasks"]), each["pairs"], each["ended_by"]) for each in reading["comparisons"]}
    assert found == {"grpo": (2, 30, ""), "ppo": (2, 0, "ppo on corridor/4, seed 0: interrupted")}
    assert reading["state"] == "undecided"


def test_margins_are_those_of_the_claim(suites: dict[str, Any]) -> None:
    suite = suites["margins of single claims"]
    assert {c["claim"]: c["margin"] for c in suite["scorecard"]["claims"]}["converges fast"] == 0.4
    assert claim(suite, "robust")["margin"] == 0.1
    assert claim(suite, "converges fast")["readings"][0]["state"] == "no better"


def test_beats_is_said_of_decided_claims_alone(tmp_path: Path) -> None:
    walk = "random-walk/20"
    stored = [*runs(curves(1, 0.55), walk), *runs(curves(2, 0.5), walk, BASELINE), *runs(curves(3, 0.1), walk, "ppo")]
    declared(tmp_path / "made-up", stored, SEEDS)
    done = run_apart("report", "made-up", "--format", "md", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "has the highest mean final score, 0.55" in done.out
    assert "higher than grpo by 0.05, not decided" in done.out
    assert re.search(r"\bbeats\b", done.out) is None
    declared(tmp_path / "clear", [*runs(curves(1, 0.85), walk), *runs(curves(2, 0.5), walk, BASELINE)], SEEDS)
    done = run_apart("report", "clear", "--format", "md", cwd=tmp_path)
    assert "random-walk/20: haepo-weighted beats grpo" in done.out
    assert "haepo-weighted beats grpo: +0.35 \\[at least +" in done.out


def test_two_algorithms_of_one_folder(tmp_path: Path) -> None:
    walk = "random-walk/20"
    stored = [*runs(curves(1, 0.85), walk, "a"), *runs(curves(2, 0.5), walk, "b"), *runs(curves(3, 0.48), walk, "c")]
    declared(tmp_path / "made-up", stored, SEEDS, candidates=["a"], baselines=["b"])
    done = run_apart("compare", "made-up", "--algorithms", "a", "b", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "random-walk/20: a is above b: +0.35 [at least +" in done.out
    done = run_apart("compare", "made-up", "--algorithms", "c", "b", "--format", "json", cwd=tmp_path)
    both = json.loads(done.out)["suites"][0]["overall"]
    assert [(each["algorithm"], each["other"], each["decided"]) for each in both] == [
        ("c", "b", False), ("b", "c", False),
    ]  # fmt: skip
    for arguments, says in (
        (("--algorithms", "a", "nobody"), "no runs of 'nobody' in made-up"),
        (("--algorithms", "a", "a"), "'a' twice"),
        (("made-up", "--algorithms", "a", "b"), "--algorithms does not go with two results folders"),
        ((), "compare needs a second results folder"),
    ):
        done = run_apart("compare", "made-up", *arguments, cwd=tmp_path)
        assert (done.code, done.out) == (4, "")
        assert says in done.err


def test_a_suite_without_haepo_says_how_to_declare_claims(tmp_path: Path) -> None:
    stored = [*runs(curves(1, 0.85), "random-walk/20", "ppo"), *runs(curves(2, 0.5), "random-walk/20", "grpo")]
    store = Store(tmp_path / "made-up")
    put_plan(store, stored, list(range(SEEDS)))
    put(store, *stored)
    done = run_apart("report", "made-up", "--format", "md", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "declare it in the suite file before the runs: claims: {candidate: ppo, baselines: \\[grpo\\]}" in done.out
    assert "Claims" not in done.out
