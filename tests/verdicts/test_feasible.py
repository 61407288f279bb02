"""The fewest seeds with which a claim can be decided, of suites that come with the program and through the program."""

from pathlib import Path

import pytest
from cli_support import run_here

from haepo_bench.results.claims import CLAIM_NAMES
from haepo_bench.suite.resolve import load_plan
from haepo_bench.suite.shipped import list_suites
from haepo_bench.verdicts.feasible import Feasible, feasible

#: Suites whose few seeds decide nothing, which their first lines say; that of the hub needs a GPU to be resolved.
CURVES_ALONE = {
    "cartpole",
    "control",
    "language",
    "language-tuned",
    "language-learning",
    "language-hub",
    "mujoco",
    "minatar",
}

SUITE = """\
name: small
seeds: 20
budget: {env_steps: 100}
tasks: [random-walk/4, corridor/8]
algorithms: [{use: rloo, name: one}, {use: rloo, name: two}, grpo, {use: dpo, seeds: 6}]
claims: {candidate: rloo}
"""


def of(path: Path, *sets: str) -> dict[str, Feasible]:
    plan = load_plan(path, sets)
    assert plan.claims is not None
    scored = [cell.task for cell in plan.cells if cell.references is not None]
    found = feasible(plan.claims, plan.bounds, plan.declared_cells, scored, 0.05)
    return {each.claim: each for each in found}


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SUITE)
    return path


@pytest.mark.parametrize("name", sorted(set(list_suites()) - {"language-hub"}))
def test_suites_that_come_with_it_claim_what_their_seeds_can_decide(name: str) -> None:
    if name == "mujoco":
        pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra mujoco)")
    plan = load_plan(name)
    if plan.claims is None:
        return
    scored = [cell.task for cell in plan.cells if cell.references is not None]
    short = {
        each.claim: dict(each.short)
        for each in feasible(plan.claims, plan.bounds, plan.declared_cells, scored, 0.05)
        if each.short or each.fewest is None
    }
    assert bool(short) == (name in CURVES_ALONE), short
    assert name not in CURVES_ALONE or "seeds decide no claim" in plan.source


def test_what_moves_the_fewest_seeds(suite: Path) -> None:
    found = of(suite)
    assert set(found) == set(CLAIM_NAMES)
    fast = found["converges fast"]
    assert fast.fewest is not None
    assert fast.short == {name: 20 for name in ("one", "two", "grpo") if fast.fewest > 20} | {"dpo": 6}
    # One variant fewer takes fewer, nothing taken for granted of dependence more; a named claim has its own margin.
    assert of(suite, "algorithms[1].use=grpo")["converges fast"].fewest < fast.fewest  # type: ignore[operator]
    assert of(suite, "claims.dependence=any")["converges fast"].fewest > fast.fewest  # type: ignore[operator]
    par = found["better or at par"].fewest
    assert par is not None
    assert of(suite, "claims.margins={better or at par: 0.3}")["better or at par"].fewest < par  # type: ignore[operator]
    # Sign rule: the mean of (1 + f)^n over f = 1/4, 1/2, 3/4, 1 passes 2 variants / .05 = 40 at n = 7.
    wins = of(suite, "claims.rule=wins")
    assert (wins["converges fast"].fewest, wins["better or at par"].fewest) == (7, None)
    assert list(of(suite, "claims.made=[robust]")) == ["robust"]
    assert "dpo" not in of(suite, "claims.left_out=[dpo]")["converges fast"].short
    # Only seeds that both sides have make pairs.
    apart = of(suite, "algorithms[3].seeds=[15, 16, 17, 18, 19, 20, 21, 22]")["converges fast"]
    assert apart.short["dpo"] == 5


def test_a_task_without_bounds_needs_a_clip(suite: Path) -> None:
    unbounded = "tasks=[{id: gym/Pendulum-v1, clip: [-1, 2]}, corridor/8]"
    assert of(suite, unbounded)["converges fast"].fewest is not None


def test_validate_and_a_dry_run_say_it(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fewest = {name: each.fewest for name, each in of(suite).items()}
    for arguments in (["validate", str(suite)], ["run", str(suite), "--dry-run"]):
        said = " ".join(run_here(capsys, *arguments).out.split())
        for name, n in fewest.items():
            what = "equality" if name == "better or at par" else "an advantage of 0.2"
            assert f"{name}: {what} without any spread is decided from {n} seeds on" in said
        assert "warning: robust: fewer seeds in common with the other side: dpo has 6" in said
        assert "claims.left_out" in said
    enough = run_here(
        capsys, "validate", str(suite), "--set", "claims={candidate: rloo, left_out: [dpo], made: [robust]}"
    )
    assert enough.code == 0
    assert "warning" not in enough.out
    # Seeds are no matter where they are taken as needed.
    until = run_here(capsys, "run", str(suite), "--dry-run", "--until-decided")
    assert until.code == 0
    assert "warning" not in until.out
    assert "If nothing is decided before 200 seeds: " in until.out
    assert not (tmp_path / "results").exists()
