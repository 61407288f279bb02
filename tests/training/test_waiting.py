"""Evaluations made together: which ones, and when, changes nothing of any run."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from training_support import without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import EnvironmentFault
from haepo_bench.policies.mlp import Network
from haepo_bench.results.columns import CLOCK_COLUMNS
from haepo_bench.training import evaluation, waiting
from haepo_bench.training.episodes.rollout import Collector
from haepo_bench.training.heads import make_head
from haepo_bench.training.recorder import Recorder, SeedResult
from haepo_bench.training.seed_record import Evaluation
from haepo_bench.training.streams import stream
from haepo_bench.training.trainer import acting

CLOCKS = CLOCK_COLUMNS | {"evaluation_seconds", "peak_memory_bytes"}


class Told(dict[int, Any]):
    """What a recorder told of each seed, clocks apart: its result, or the words of its failure."""

    def result(self, result: SeedResult) -> None:
        assert result.seed not in self
        cost = {name: value for name, value in result.cost.items() if name not in CLOCKS}
        self[result.seed] = (result.status, result.reason, without_clocks(result), result.final, cost)

    def failure(self, seed: int, reason: Exception) -> None:
        assert seed not in self
        self[seed] = str(reason)


def trained(
    task: Any, name: str, seeds: list[int], *, rows: int, seconds: float, monkeypatch: Any, **more: Any
) -> Told:
    """Every seed's outcome, where so many rows (or so many seconds) are evaluated together."""
    monkeypatch.setattr(evaluation, "_ROWS", rows)
    monkeypatch.setattr(waiting, "_SECONDS", seconds)
    told = Told()
    policies: dict[int, dict[str, Any]] = {}
    recorder = Recorder(
        seeds,
        budget=more.pop("budget", 600),
        every=more.pop("every", 100),
        episodes=3,
        on_finished=told.result,
        on_failed=told.failure,
        on_policy=policies.__setitem__,  # type: ignore[arg-type]
    )
    catalogue.algorithm_on(task, name).configure(more, task).train(task, seeds, recorder, device="cpu")
    assert not recorder.unfinished
    for seed, named in policies.items():
        told[seed] = (told[seed], {key: value.tobytes() for key, value in named.items()})
    return told


#: One by one; a few at a time, which cuts through seeds; all at the end; by the clock alone.
GROUPINGS = [(1, 1e9), (48, 1e9), (10**9, 1e9), (10**9, 0.0)]


@pytest.mark.parametrize(
    ("address", "name", "more"),
    [
        ("gym/CartPole-v1", "reinforce", {"trajectories": 3, "hidden": [9, 5]}),
        ("multi-goal/4", "grpo", {"trajectories": 4}),
        ("gym/Pendulum-v1", "haepo-weighted", {"trajectories": 2}),
        ("random-walk/8", "ppo-batched", {"n_steps": 32, "n_envs": 2, "normalize": True}),
    ],
)
def test_which_are_made_together_changes_nothing(address, name, more, monkeypatch):
    task = catalogue.task(address)
    outcomes = [
        trained(task, name, [0, 1, 2, 3], rows=rows, seconds=seconds, monkeypatch=monkeypatch, **more)
        for rows, seconds in GROUPINGS
    ]
    alone = trained(task, name, [2], rows=10**9, seconds=1e9, monkeypatch=monkeypatch, **more)
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert alone[2] == outcomes[0][2]
    assert all(result[0][0] == "done" and result[1] for result in outcomes[0].values())


def troubled(monkeypatch: Any, trouble: dict[tuple[int, int], Evaluation | EnvironmentFault]) -> None:
    """Lets some evaluations, by seed and point, go wrong."""
    made = evaluation.Evaluator.evaluate

    def evaluate(self, actor, due, *others, **more):
        found = made(self, actor, due, *others, **more)
        for place, key in enumerate(due):
            wrong = trouble.get(key)
            if isinstance(wrong, EnvironmentFault):
                found[place] = found[place]._replace(fault=wrong)
            elif wrong is not None:
                found[place] = wrong
        return found

    monkeypatch.setattr(evaluation.Evaluator, "evaluate", evaluate)


def test_a_seed_that_an_evaluation_ends_has_never_gone_further(monkeypatch):
    """It trains on while the evaluation waits; its result is that of the moment at which it crossed the point."""
    nan = Evaluation(float("nan"), 0.0, 1.0, 7)
    troubled(monkeypatch, {(1, 2): nan, (2, 3): EnvironmentFault("test", "broke"), (3, 0): nan, (3, 4): nan})
    task = catalogue.task("bandit/10-arm")
    outcomes = [
        trained(task, "reinforce", [0, 1, 2, 3], rows=rows, seconds=seconds, monkeypatch=monkeypatch, trajectories=4)
        for rows, seconds in GROUPINGS
    ]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    first = outcomes[0]
    assert first[0][0][0] == "done"
    status, reason, curve, _, cost = first[1]
    assert (status, reason) == ("diverged", "the evaluation return is not finite")
    # Point 2 is step 200: with 4 pulls a batch the policy that pulls the 201st time has collected 204 steps.
    assert cost["env_steps_collected"] == 204
    assert [value is None for value in curve["eval_return"]] == [False, False, True, True, True, True, True]
    assert "broke" in first[2]
    assert first[3][0] == "diverged"
    assert first[3][4]["env_steps_collected"] == 4


def test_a_seed_that_training_ends_keeps_the_points_that_it_had_crossed(monkeypatch):
    """Whether its evaluations were made before or after it diverged; and one of them may have ended it before."""
    task = catalogue.task("bandit/10-arm")
    nan = Evaluation(float("nan"), 0.0, 1.0, 7)
    troubled(monkeypatch, {(2, 1): nan})
    collect = Collector.collect
    iterations = 0

    def collected(self, *arguments, **more):
        nonlocal iterations
        iterations += 1
        rollout = collect(self, *arguments, **more)
        if iterations == 80:  # all seeds, at env step 320
            rollout = replace(rollout, returns=np.full_like(rollout.returns, np.inf))
        return rollout

    monkeypatch.setattr(Collector, "collect", collected)
    outcomes = []
    for rows, seconds in GROUPINGS:
        iterations = 0
        told = trained(task, "reinforce", [1, 2], rows=rows, seconds=seconds, monkeypatch=monkeypatch, trajectories=4)
        outcomes.append(told)
    assert all(outcome == outcomes[0] for outcome in outcomes)
    one, two = outcomes[0][1], outcomes[0][2]
    assert one[0] == "diverged"
    assert one[1].startswith("an episode's return is inf")
    assert [value is None for value in one[2]["eval_return"]] == [False] * 4 + [True] * 3
    assert two[1] == "the evaluation return is not finite"
    assert two[4]["env_steps_collected"] == 104


def test_what_had_reached_the_budget_survives_an_exception(monkeypatch):
    """Seed 0's episodes are long, seed 1's short: the first is over when the second one's training breaks down."""
    task = catalogue.task("gym/CartPole-v1")
    told = Told()
    monkeypatch.setattr(waiting, "_SECONDS", 1e9)
    monkeypatch.setattr(evaluation, "_ROWS", 10**9)
    recorder = Recorder([0, 1], budget=200, every=100, episodes=2, on_finished=told.result)
    collect = Collector.collect

    def collected(self, actor, environments, *arguments, **more):
        if len(environments) == 1:
            raise RuntimeError("broken")
        return collect(self, actor, environments, *arguments, **more)

    monkeypatch.setattr(Collector, "collect", collected)
    algorithm = catalogue.algorithm("reinforce").configure({"trajectories": 3}, task)
    with pytest.raises(RuntimeError, match="broken"):
        algorithm.train(task, [0, 1], recorder, device="cpu")
    (over,) = set(told)
    assert told[over][0] == "done"
    assert recorder.unfinished == [1 - over]


def test_a_checkpoint_takes_no_waiting_evaluation_along():
    recorder = Recorder([7], budget=100, every=20, episodes=1)
    recorder.collected(7, 45, 3)
    assert recorder.crossed() == [(7, 2)]
    assert recorder.crossed() == []
    with pytest.raises(RuntimeError, match="waits for evaluations"):
        recorder.state(7)
    recorder.evaluated(7, Evaluation(1.0, 0.5, 2.0, 9))
    assert len(recorder.state(7)["rows"]) == 3


@pytest.mark.parametrize("broken_at", [None, 150])
def test_episodes_that_are_not_kept_are_the_same_episodes(broken_at):
    """`play` keeps 128 steps at a time; against `collect`, which keeps 200: returns, lengths, what was wrong."""
    task = catalogue.task("gym/Pendulum-v1")
    head = make_head(task)
    network = Network(3, (8,), head)
    parameters = torch.from_numpy(np.stack([network.initial(stream("initialisation", seed)) for seed in (0, 1)]))
    rows = network.padded_rows(3)
    found = []
    for kind in (Collector.collect, Collector.play):
        environment = task.vector(3)
        step, steps = environment.step, itertools.count(1)

        def stepped(actions, live, step=step, steps=steps):
            taken = step(actions, live)
            if next(steps) == broken_at:
                taken.rewards[1, 2] = np.nan
            return taken

        environment.step = stepped
        collector = Collector(task, environment, head, 3, rows)
        actor = acting(network.repeated(network.fold(parameters)), head)
        streams = [[stream(purpose, seed) for seed in (0, 1)] for purpose in ("environment", "action noise")]
        found.append(kind(collector, actor, *streams))
    kept, played = found
    np.testing.assert_array_equal(played.returns, kept.returns)
    np.testing.assert_array_equal(played.lengths, kept.lengths)
    faults = [{row: str(fault) for row, fault in one.faults.items()} for one in found]
    assert faults[0] == faults[1]
    assert faults[0].keys() == (set() if broken_at is None else {1})
    if broken_at is not None:
        assert "at step 150 of an episode" in faults[0][1]
    else:
        np.testing.assert_allclose(played.returns, kept.rewards.numpy().sum(2), rtol=1e-12)
