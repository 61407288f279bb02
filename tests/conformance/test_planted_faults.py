"""Faults planted in losses and environments: each is found by its check; none in the catalogue."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import ROOT, run_apart, run_here

from haepo_bench import catalogue
from haepo_bench.conformance.findings import CheckResult, carry_out
from haepo_bench.conformance.objectives import objective_checks
from haepo_bench.conformance.playing import BrokenStep
from haepo_bench.conformance.tasks import task_checks
from haepo_bench.errors import EnvironmentFault
from haepo_bench.suite.local.loading import forget
from haepo_bench.suite.names import Names
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.wrappers.observations import Window
from haepo_bench.training.definition import ObjectiveDefinition

LOSS = """
import torch
from typing import ClassVar
from haepo_bench.api import Objective, ObjectiveOutput

calls = []

class Mine(Objective):
    "A policy gradient."

    {claims}

    def __call__(self, batch):
        returns = batch.returns - batch.returns.mean(-1, keepdim=True)
        advantages = returns.to(batch.dtype)
        likelihood = batch.masked_sum(batch.log_probs)
        loss = -(advantages * likelihood).mean((-1, -2))
        diagnostics = {{}}
        {fault}
        return ObjectiveOutput(loss, diagnostics)
"""
#: Check, and the line that breaks what it looks at.
LOSSES = {
    "a mean over seeds": ("one loss per seed", "loss = loss.mean()"),
    "one loss for all": ("seeds apart", "loss = loss * 0 + loss.mean()"),
    "another seed's returns": (
        "seeds apart", "loss = -((advantages - advantages.mean(0)) * likelihood).mean((-1, -2))"
    ),
    "a diagnostic with a gradient": ("one loss per seed", "diagnostics['x'] = loss"),
    "a diagnostic of each group": ("one loss per seed", "diagnostics['x'] = returns.mean(-1)"),
    "a division by zero": (
        "finite on ties", "loss = -(advantages / advantages.std(-1, keepdim=True) * likelihood).mean((-1, -2))"
    ),
    "ratios that overflow": (
        "finite where policies are far apart",
        "r = (batch.log_probs - batch.behaviour_log_probs).exp(); "
        "loss = loss - batch.token_mean(r * advantages[..., None]) * 1e-3",
    ),
    "padding in a sum": ("blind to what stands", "loss = -(advantages * batch.log_probs.sum(-1)).mean((-1, -2))"),
    "padding in a mean": ("blind to what stands", "loss = loss - batch.entropy.mean((-1, -2, -3))"),
    "padding that is counted": (
        "blind to how many",
        "loss = -(advantages * torch.where(batch.mask, batch.log_probs, 0.0).mean(-1)).mean((-1, -2))",
    ),
    "a baseline over groups": (
        "groups apart",
        "loss = -((batch.returns - batch.returns.mean((-1, -2), keepdim=True)) * likelihood).mean((-1, -2))",
    ),
    "the first trajectory": ("the order of trajectories", "loss = loss - likelihood[..., 0].mean(-1)"),
    "a batch changed in place": ("leaves the batch as it is", "batch.returns.sub_(1.0)"),
    "dropout": ("leaves the batch as it is", "loss = loss * torch.rand(())"),
    "a counter": ("leaves the batch as it is", "calls.append(1); loss = loss * len(calls)"),
    "a detached factor": (
        "gradient as finite differences", "loss = loss * batch.masked_sum(batch.log_probs).mean((-1, -2)).detach()"
    ),
    "all detached": ("the gradient reaches", "loss = loss.detach() + 0 * batch.entropy.nan_to_num().sum((-1, -2, -3))"),
}  # fmt: skip
ENVIRONMENT = """
import random, time
from pathlib import Path
import gymnasium
import numpy as np
from gymnasium import spaces

shared = []

{top}

class Mine(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (2,))
    action_space = spaces.Discrete(2)
    max_episode_steps = 8

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.seen = 0, np.float32(self.np_random.random(2))
        {reset}
        return self.seen, {{}}

    def step(self, action):
        self.t += 1
        reward, over = float(action), self.t >= 5
        seen = self.seen
        {step}
        return seen, reward, over, False, {{}}
"""
ENVIRONMENTS = {
    "a reward that is no number": ("episodes end", "", "reward = float('nan') if self.t == 3 else reward"),
    "an observation that is none": ("episodes end", "", "seen = np.full(2, np.inf)"),
    "an observation of another shape": ("episodes end", "", "seen = np.zeros(3) if self.t == 2 else seen"),
    "an exception": ("episodes end", "", "1 / (self.t - 4)"),
    "an observation out of its space": ("observations are within", "", "seen = seen + self.t"),
    "a return out of its bounds": ("returns are within", "", "reward *= 10"),
    "another random return": ("the random policy gets", "", "reward *= 0.5"),
    "draws from random": ("depends on its streams", "", "reward *= random.random()"),
    "draws from numpy": ("depends on its streams", "self.seen = np.float32(np.random.random(2))", ""),
    "the clock": ("depends on its streams", "self.seen = np.float32([time.perf_counter() % 1, 0])", ""),
    "a counter of all episodes": (
        "depends on its streams", "shared.append(1); self.seen = np.float32([len(shared) % 97 / 97, 0])", ""
    ),
    "a generator that no seed reaches": (
        "depends on its streams", "self.rng = vars(self).get('rng') or random.Random(0)", "reward *= self.rng.random()"
    ),
    "steps of others": (
        "episodes apart", "shared.clear()", "shared.append(1); reward = reward * 0.5 + 0.5 * (len(shared) > 7)"
    ),
    "a file": ("opens no file", "Path(__file__).with_name('data.json').read_text()", ""),
}  # fmt: skip


def printed(again: str, **names: object) -> list[str]:
    """What the Python of a reproduction prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(again, names)
    return out.getvalue().splitlines()


def failed(findings: list[CheckResult], check: str) -> str:
    """The reproduction of the check of that name, which must have failed."""
    assert findings
    (found,) = [finding for finding in findings if finding.check.startswith(check)]
    assert found.problem, findings
    return found.again


@pytest.mark.parametrize("name", LOSSES)
def test_a_fault_in_a_loss(name: str, tmp_path: Path) -> None:
    check, fault = LOSSES[name]
    (tmp_path / "mine.py").write_text(LOSS.format(fault=fault, claims=""))
    definition = Names(tmp_path).algorithm("./mine.py")
    assert isinstance(definition, ObjectiveDefinition)
    findings = list(carry_out(objective_checks(definition.objective(), "objective")))
    assert printed(failed(findings, check), objective=definition.objective())


@pytest.mark.parametrize("name", ["dropout", "a counter"])
def test_two_answers_for_one_batch_are_one_fault(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LOSS.format(fault=LOSSES[name][1], claims=""))
    definition = Names(tmp_path).algorithm("./mine.py")
    assert isinstance(definition, ObjectiveDefinition)
    findings = list(carry_out(objective_checks(definition.objective(), "objective")))
    assert [f.check for f in findings if f.problem] == ["leaves the batch as it is, and gives one answer"]
    assert len([f for f in findings if f.skipped.startswith("it gives two answers")]) == 6


def test_a_loss_without_fault(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LOSS.format(fault="", claims=""))
    definition = Names(tmp_path).algorithm("./mine.py")
    assert isinstance(definition, ObjectiveDefinition)
    assert not [f for f in carry_out(objective_checks(definition.objective(), "objective")) if f.problem]


@pytest.mark.parametrize(("claimed", "held"), [("shift", True), ("scale", False)])
def test_invariances_are_held_to(claimed: str, held: bool, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LOSS.format(fault="", claims=f"invariances: ClassVar = ({claimed!r},)"))
    definition = Names(tmp_path).algorithm("./mine.py")
    assert isinstance(definition, ObjectiveDefinition)
    findings = list(carry_out(objective_checks(definition.objective(), "objective")))
    assert [f.check for f in findings if f.problem] == ([] if held else ["the invariances that it claims"])


@pytest.mark.parametrize(
    "name", [name for name in catalogue.ALGORITHMS if isinstance(catalogue.algorithm(name), ObjectiveDefinition)]
)
def test_no_fault_in_the_catalogues_losses(name: str) -> None:
    definition = catalogue.algorithm(name)
    assert isinstance(definition, ObjectiveDefinition)
    findings = list(carry_out(objective_checks(definition.objective(), "objective")))
    assert len(findings) == 12
    assert not [finding for finding in findings if finding.problem]


def environment(folder: Path, reset: str, step: str, top: str = "") -> list[CheckResult]:
    (folder / "mine.py").write_text(ENVIRONMENT.format(reset=reset, step=step, top=top))
    (folder / "data.json").write_text("{}")
    options = {"references": {"random": 2.5, "solved": 5.0}, "bounds": (0.0, 5.0)}
    options["references"] |= {"source": "exact"}  # type: ignore[operator]

    def make() -> Task:
        return Names(folder).task("./mine.py", options=options)

    def forget_it() -> None:
        code = Names(folder).task_code("./mine.py")
        assert code is not None
        forget(code)

    return list(carry_out(task_checks(make, "task", [folder / "mine.py"], forget_it)))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_fault_in_an_environment(name: str, tmp_path: Path) -> None:
    check, reset, step = ENVIRONMENTS[name]
    again = failed(environment(tmp_path, reset, step), check)
    with contextlib.suppress(EnvironmentFault, BrokenStep):  # that it breaks is what there is to see
        said = printed(again, task=Names(tmp_path).task("./mine.py", options={}))
        assert said or check == "opens no file"
        if "same(" in again:
            assert said[0].startswith("False")


READS = "DATA = Path(__file__).with_name('data.json').read_text()"


def test_a_file_that_is_read_when_the_environment_is_imported(tmp_path: Path) -> None:
    failed(environment(tmp_path, "", "", READS), "opens no file")


@pytest.mark.parametrize("place", ["import", "call"])
def test_a_file_that_a_loss_reads(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = LOSS.format(fault=READS if place == "call" else "", claims="")
    start = "from pathlib import Path\n" + (f"{READS}\n" if place == "import" else "")
    (tmp_path / "mine.py").write_text(start + text)
    (tmp_path / "data.json").write_text("{}")
    place_of_it = str(tmp_path / "mine.py")
    found = run_here(capsys, "test", place_of_it)
    assert "FAIL  opens no file that is not declared" in found.out
    assert "ok    opens no file" in run_here(capsys, "test", place_of_it, "--files", "data.json").out


def test_what_is_printed_of_returns_is_python_that_runs(tmp_path: Path) -> None:
    found = environment(tmp_path, "", "reward *= 10")
    for check in ("returns are within", "the random policy gets"):
        names: dict[str, object] = {"task": Names(tmp_path).task("./mine.py", options={})}
        exec(failed(found, check), names)


def test_an_environment_without_fault(tmp_path: Path) -> None:
    findings = environment(tmp_path, "", "")
    assert not [finding for finding in findings if finding.problem]
    assert [f.check for f in findings if f.skipped] == ["running episodes go on from their arrays"]


@pytest.mark.parametrize("forgotten", ["state", "signs", "wrapped state"])
def test_an_environment_that_keeps_less_than_its_episodes_go_on_from(
    forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Window if forgotten.startswith("wrapped") else type(catalogue.task("umbrella/10").vector(1))
    running = kind.running
    monkeypatch.setattr(
        kind, "running", lambda self: {name: part for name, part in running(self).items() if name != forgotten}
    )
    address = "window(umbrella/10,2)" if kind is Window else "umbrella/10"
    failed(list(carry_out(task_checks(lambda: catalogue.task(address), "task"))), "running episodes")


@pytest.mark.parametrize(
    "address",
    [
        "bandit/10-arm", "bandit/contextual", "random-walk/20", "corridor/8", "deep-sea/4", "multi-goal/4",
        "key-door/5", "umbrella/10", "t-maze/10", "gym/CartPole-v1", "gym/Pendulum-v1", "gym/FrozenLake-v1",
        "gym/Blackjack-v1",
        "noise(random-walk/20,1)", "window(gym/CartPole-v1,2)", "delayed(random-reward(maze/4))",
    ],
)  # fmt: skip
def test_no_fault_in_the_catalogues_tasks(address: str) -> None:
    limit = 10 if "Blackjack" in address else None
    findings = list(carry_out(task_checks(lambda: catalogue.task(address, time_limit=limit), "task")))
    assert not [finding for finding in findings if finding.problem]


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    """A loss of the wrong sign does not learn; the reproduction that it prints runs."""
    (tmp_path / "mine.py").write_text(LOSS.format(fault="loss = -loss + loss.mean()", claims=""))
    outcome = run_apart("test", "./mine.py", cwd=tmp_path)
    assert outcome.code == 2
    assert f"runs your code: {tmp_path / 'mine.py'}" in outcome.err
    assert "FAIL  learns bandit/10-arm" in outcome.out
    assert "FAIL  seeds apart" in outcome.out
    assert "ok    finite on ties" in outcome.out
    block = outcome.out.split("FAIL  seeds apart")[1].split("to see it:\n")[1]
    lines = [line[12:] for line in block.splitlines() if line.startswith(" " * 12)]
    script = tmp_path / "again.py"
    script.write_text("\n".join(lines[: next(n for n, line in enumerate(lines) if line.startswith("print")) + 1]))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    assert "tensor" in done.stdout


def test_what_is_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_here(capsys, "test", "grop")
    assert outcome.code == 4
    assert "Traceback" not in outcome.err
