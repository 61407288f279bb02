"""Claims in a suite: names, errors, and that they are declared before anything runs."""

import json
from pathlib import Path

import pytest
from cli_support import run_apart

from haepo_bench.suite.document import SuiteError
from haepo_bench.suite.resolve import load_plan

SUITE = """\
name: small
seeds: 2
budget: {env_steps: 100}
tasks: [bandit/10-arm]
algorithms:
  - haepo
  - {use: haepo-ranking, name: mine}
  - {use: grpo, name: grpo-a}
  - {use: grpo, name: grpo-b, params: {learning_rate: 0.1}}
  - dpo
"""


@pytest.mark.parametrize(
    ("claims", "candidates", "baselines"),
    [
        ("", ["haepo-weighted", "haepo-listwise", "mine"], ["grpo-a", "grpo-b", "dpo"]),
        ("claims: {candidate: mine}", ["mine"], ["haepo-weighted", "haepo-listwise", "grpo-a", "grpo-b", "dpo"]),
        ("claims: {candidate: grpo, baselines: [haepo, dpo]}", ["grpo-a", "grpo-b"],
         ["haepo-weighted", "haepo-listwise", "mine", "dpo"]),
        ("claims: {candidate: haepo-ranking, baselines: [grpo-b]}", ["mine"], ["grpo-b"]),
    ],
)  # fmt: skip
def test_names_in_a_suite(tmp_path: Path, claims: str, candidates: list[str], baselines: list[str]) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SUITE + claims)
    declaration, found = load_plan(path).declaration, load_plan(path).claims
    assert found is not None
    assert (found.candidates, found.baselines, found.margin, found.threshold) == (candidates, baselines, 0.1, 0.9)
    # What a run leaves out is declared all the same.
    assert load_plan(path, only=["dpo"]).declaration == load_plan(path).declaration
    # More seeds of the same order are the same declaration; other seeds, settings, margins and rules are not.
    assert load_plan(path, sets=["seeds=3"]).declaration == declaration
    named = "claims.margin=0.2", "claims.rule=wins", "claims.dependence=any", "claims.margins={robust: 0.3}"
    for change in ("seeds=[4, 1]", "seeds=[1, 2]", "budget.env_steps=200", *named):
        assert load_plan(path, sets=[change]).declaration != declaration, change
    fixed = [load_plan(path, sets=["claims.rule=fixed", f"seeds={n}"]).declaration for n in (12, 13)]
    assert fixed[0] != fixed[1]
    lines = path.read_text().splitlines()
    swapped = [*lines[:5], lines[8], lines[9], lines[5], lines[7], lines[6], *lines[10:]]
    path.write_text("\n".join(swapped))
    again = load_plan(path)
    assert again.claims is not None
    assert again.declaration == declaration


def test_a_suite_without_the_default_candidate_claims_nothing(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SUITE)
    assert load_plan(path, sets=["algorithms=[grpo, dpo]"]).claims is None
    assert load_plan(path, sets=["algorithms=[haepo]"]).claims is None


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ("{candidate: gppo}", ["claims.candidate", "the suite has no algorithm 'gppo'", "did you mean 'grpo'"]),
        ("{baselines: [dpo, ppo]}", ["claims.baselines[1]", "no algorithm 'ppo'"]),
        ("{baselines: [mine]}", ["claims.baselines[0]", "compared with itself"]),
        ("{baselines: []}", ["claims.baselines", "must not be empty"]),
        ("{margin: 0}", ["claims.margin", "must be more than 0"]),
        ("{margin: wide}", ["claims.margin", "must be a number, got 'wide'"]),
        ("{threshold: 11}", ["claims.threshold", "must be at most 10"]),
        ("{candidates: haepo}", ["claims.candidates", "did you mean 'candidate'"]),
        ("{rule: welch}", ["claims.rule", "betting"]),
        ("{dependence: none}", ["claims.dependence", "nonnegative"]),
        ("{margins: {robst: 0.2}}", ["claims.margins.robst", "did you mean 'robust'"]),
        ("{margins: {robust: 2}}", ["claims.margins.robust", "at most 1"]),
        (
            "{made: [converges fast], margins: {robust: 0.2}}",
            ["claims.margins.robust", "does not make the claim 'robust'"],
        ),
        ("{made: [rbust]}", ["claims.made[0]", "did you mean 'robust'"]),
        ("{left_out: [mine]}", ["claims.left_out[0]", "compared with itself"]),
        ("{left_out: [nobody]}", ["claims.left_out[0]", "no algorithm 'nobody'"]),
        ("{baselines: [dpo, grpo-a], left_out: [dpo]}", ["claims.left_out[0]", "'dpo' is one of the baselines"]),
    ],
)
def test_wrong_claims(tmp_path: Path, claims: str, says: list[str]) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(f"{SUITE}claims: {claims}\n")
    with pytest.raises(SuiteError) as error:
        load_plan(path)
    for text in says:
        assert text in str(error.value)


def test_an_algorithm_that_is_left_out_is_no_baseline_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(f"{SUITE}claims: {{left_out: [grpo]}}\n")
    claims = load_plan(path).claims
    assert claims is not None
    assert (claims.baselines, claims.left_out) == (["dpo"], ["grpo-a", "grpo-b"])
    # What no claim is about may change without a new declaration.
    settings = "algorithms[2].params={learning_rate: 0.05}"
    assert load_plan(path, sets=[settings]).declaration == load_plan(path).declaration


def test_bounds_of_scores_follow_from_those_of_returns_unless_the_suite_clips(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SUITE)
    tasks = 'tasks=[gym/CartPole-v1, "noise(random-walk/20,1)", {id: gym/Pendulum-v1, clip: [-0.5, 1.5]}, gym/Taxi-v4]'
    bounds = load_plan(path, sets=[tasks]).bounds
    cartpole, walk, pendulum = bounds.values()
    assert (cartpole.low, cartpole.high) == pytest.approx(((1 - 22.2) / 452.8, (500 - 22.2) / 452.8))
    assert walk.high == pytest.approx(1.0)
    assert walk.low < 0
    assert (pendulum.low, pendulum.high, pendulum.clipped) == (-0.5, 1.5, True)
    for clip, says in (("[1, 0]", "1 is not below 0"), ("[0]", "clip"), ("[a, b]", "clip")):
        with pytest.raises(SuiteError, match=says):
            load_plan(path, sets=[f"tasks=[{{id: gym/CartPole-v1, clip: {clip}}}]"])
    with pytest.raises(SuiteError, match="no score that could be clipped"):
        load_plan(path, sets=["tasks=[{id: gym/Taxi-v4, clip: [0, 1]}]"])


@pytest.mark.slow
def test_through_the_program(tmp_path: Path) -> None:
    """What was declared before the runs is confirmatory; claims changed afterwards are not, and cost no run."""
    (tmp_path / "small.yaml").write_text(SUITE)
    arguments = ["run", "small.yaml", "--set", "algorithms=[haepo-weighted, reinforce]"]
    assert run_apart(*arguments, cwd=tmp_path).code == 0
    plan = json.loads((tmp_path / "results" / "small" / "plan.json").read_text())
    assert plan["claims"]["candidates"] == ["haepo-weighted"]
    paths = sorted((tmp_path / "results" / "small").glob("*/seed-*.json"))
    assert {json.loads(path.read_text())["provenance"]["declaration"] for path in paths} == {plan["declaration"]}
    text = run_apart("report", "--format", "md", cwd=tmp_path).out
    assert "Better or at par: supported in " in text
    assert "Exploratory" not in text
    before = [path.stat().st_mtime_ns for path in paths]
    assert run_apart(*arguments, "--set", "claims.margin=0.5", cwd=tmp_path).code == 0
    assert [path.stat().st_mtime_ns for path in paths] == before
    document = json.loads(run_apart("report", "--format", "json", cwd=tmp_path).out)
    card = document["suites"][0]["scorecard"]
    assert (card["margin"], card["status"]) == (0.5, "untuned")
    assert "changed after" in card["exploratory"]
