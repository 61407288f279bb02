"""The training loop: learning where the optimum is known, marks, divergence, and what a run depends on."""

import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.objectives.base import Objective, ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.reinforce import Reinforce
from haepo_bench.policies import mlp
from haepo_bench.policies.mlp import Network
from haepo_bench.training import evaluation
from haepo_bench.training.episodes.algorithm import NativeAlgorithm
from haepo_bench.training.episodes.packed_batch import PackedBatch
from haepo_bench.training.episodes.rollout import Collector
from haepo_bench.training.episodes.trainer import EpisodeTrainer
from haepo_bench.training.heads import make_head
from haepo_bench.training.recorder import Recorder, SeedResult, marks
from haepo_bench.training.seed_record import Evaluation
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import hashed_seed, stream

#: All but those that need an expert (test_objective_needs.py), fixed preferences (test_language_training.py) or
#: continuous actions (test_genpo.py), and the control that never learns.
APART = (
    "ppo",
    "ppo-batched",
    "genpo",
    "dfpo-reconstructed",
    "calibrl",
    "repo",
    "repo-stand-in",
    "iib-lpo-stand-in",
    "hybrid-dpo-stand-in",
    "dpo-offline",
    "uniform",
)
NATIVE = [name for name in catalogue.ALGORITHMS if name not in APART]


@pytest.mark.parametrize("name", [*NATIVE, "ppo", "ppo-batched", "dfpo-reconstructed"])
def test_every_algorithm_learns_the_bandit(name):
    """After 3,000 pulls every seed's training batches pay more than 0.6 on average; a uniform policy is paid 0.04.

    Fixed seeds, so no error rate: these runs pass or fail for good. Larger batches and steps than by default, so that
    all of the catalogue takes seconds.
    """
    quicker = {"trajectories": 32, "learning_rate": 4e-3} if name in NATIVE else {}
    for result in train(name, "bandit/10-arm", [0, 1], 3_000, 1_000, **quicker).values():
        assert result.status == "done"
        assert result.curve["train_return"][-1] > 0.6


@pytest.mark.parametrize("name", ["reinforce", "haepo-listwise", "grpo", "dpo"])
def test_learning_to_balance(name):
    """CartPole: the untrained policy holds about 20 steps; after 20,000 steps every seed holds 100 or more."""
    for result in train(name, "gym/CartPole-v1", [0, 1], 20_000, 10_000).values():
        assert result.curve["eval_return"][0] < 60
        assert result.final["eval_return_greedy"] > 100


@pytest.mark.slow
def test_continuous_actions_learn():
    """One step, reward -(a - 0.7)^2: the mean action moves from 0 to 0.7."""

    class Point(catalogue.task("gym/Pendulum-v1").__class__):
        """Pendulum's spaces with a reward for one action."""

        def __init__(self) -> None:
            super().__init__("Pendulum-v1", 1)
            self.id = "test/point"

        def vector(self, trajectories: int):
            inner = super().vector(trajectories)
            step = inner.step

            def aimed(actions, live):
                return step(actions, live)._replace(rewards=-((actions[..., 0] - 0.7) ** 2).astype(float))

            inner.step = aimed
            return inner

    (result,) = train("reinforce", Point(), [0], 4_000, 4_000).values()
    assert result.curve["eval_return_greedy"][0] == pytest.approx(-0.49, abs=0.1)
    assert result.final["eval_return_greedy"] > -0.05


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("task", ["random-walk/20", "gym/CartPole-v1"])
def test_a_run_is_the_same_alone_and_among_others(name, task, monkeypatch):
    """Byte for byte in every column but the clock's; with an odd batch and odd layers, which kernels like least."""
    monkeypatch.setattr(mlp, "CHUNK_ROWS", 64)  # so that seeds drop out of later chunks
    odd = {"trajectories": 7, "hidden": [9, 5], "epochs": 2}
    if name in ("qrpo", "a2po"):
        odd["reference_episodes"] = 3
    among = train(name, task, [0, 1, 2, 3, 4], 600, 200, **odd)
    alone = train(name, task, [3], 600, 200, **odd)
    others = train(name, task, [4, 3], 600, 200, **odd)
    assert without_clocks(among[3]) == without_clocks(alone[3]) == without_clocks(others[3])
    assert without_clocks(among[4]) == without_clocks(others[4])
    assert without_clocks(among[3]) != without_clocks(among[4])


def test_a_run_is_the_same_among_many_after_many_epochs() -> None:
    settings = {"trajectories": 2, "hidden": [4], "epochs": 16}
    among = train("haepo-ranking", "corridor/8", range(50), 64, 16, **settings)
    alone = train("haepo-ranking", "corridor/8", [0, 1], 64, 16, **settings)
    for seed in (0, 1):
        assert without_clocks(among[seed]) == without_clocks(alone[seed])


def test_continuous_runs_are_the_same_alone_and_among_others():
    among = train("haepo-weighted", "gym/Pendulum-v1", [0, 1, 2], 2_000, 1_000, trajectories=3)
    assert without_clocks(among[2]) == without_clocks(
        train("haepo-weighted", "gym/Pendulum-v1", [2], 2_000, 1_000, trajectories=3)[2]
    )


def test_native_counts_honestly():
    """One pull an episode, 16 a batch: mark m is collected by policy m // 16, which has had 4 updates a batch."""
    (result,) = train("reinforce", "bandit/10-arm", [0], 100, 25, trajectories=16, epochs=4).values()
    assert result.curve["env_steps"] == [0, 25, 50, 75, 100]
    assert result.curve["gradient_steps"] == [0, 4, 12, 16, 24]
    assert result.curve["episodes"] == [16, 32, 64, 80, 112]
    assert result.cost["env_steps_collected"] == 112
    assert result.cost["evaluation_env_steps"] == 0  # bandits are evaluated exactly
    (result,) = train("reinforce", "corridor/8", [0], 400, 200).values()
    assert result.cost["evaluation_env_steps"] == 3 * 2 * 5 * 8


@pytest.mark.slow
def test_the_value_at_mark_zero_is_that_of_the_initial_policy():
    """All native algorithms share initial weights and evaluation episodes, so they agree there exactly."""
    # So that a reference policy's episodes, too, end before the second mark, whose evaluation would else serve both.
    few = {"qrpo": {"reference_episodes": 2}, "a2po": {"reference_episodes": 2}}
    zero = {
        train(name, "random-walk/20", [5], 1_000, 1_000, **few.get(name, {}))[5].curve["eval_return"][0]
        for name in [*NATIVE, "ppo-batched"]
    }
    assert len(zero) == 1


def test_continuous_actions_reach_the_task_within_their_bounds():
    task = catalogue.task("gym/Pendulum-v1", time_limit=3)
    collector = Collector(task, task.vector(4), make_head(task), 4, 8)
    taken: list[np.ndarray] = []
    step = collector._environment.step
    collector._environment.step = lambda actions, live: (taken.append(actions), step(actions, live))[1]

    def act(x: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        return torch.full((1, 8, 1), -7.5)

    rollout = collector.collect(act, [stream("environment", 0)], [stream("action noise", 0)])
    assert {float(a) for actions in taken for a in actions.ravel()} == {-2.0}
    assert (rollout.actions[rollout.mask] == -7.5).all()  # what the log-probability speaks of


def test_the_reference_policies_of_the_algorithms():
    task = catalogue.task("bandit/10-arm")
    references = {name: catalogue.algorithm(name).configure({}, task).parameters["reference"] for name in NATIVE}
    grpos, penalised = {"grpo", "dr-grpo", "dapo", "soup", "maxrl", "opo"}, {"rloo", "reinforce-pp", "rebel"}
    initial = grpos | penalised | {"qrpo", "a2po", "reward-distillation"}
    assert {name for name, reference in references.items() if reference == "initial"} == initial
    assert {references[name] for name in NATIVE if name not in initial} == {"previous"}


def test_every_mark_has_evaluation_episodes_of_its_own(monkeypatch):
    keys: list[tuple[Any, ...]] = []

    def noted(*key: Any) -> np.random.Generator:
        keys.append(key)
        return stream(*key)

    monkeypatch.setattr(evaluation, "stream", noted)
    for trajectories in (8, 16):
        train("reinforce", "corridor/8", [4, 5], 768, 256, trajectories=trajectories)
    environments = [key for key in keys if key[0] == "evaluation"]
    assert sorted(set(environments)) == [("evaluation", seed, mark) for seed in (4, 5) for mark in range(4)]
    assert environments.count(("evaluation", 4, 3)) == 2  # the budget is evaluated alike however long iterations are


def test_coverage_leaves_with_its_seed_and_counts_the_last_state():
    together = train("reinforce", "random-walk/20", [0, 1, 2], 400, 100, trajectories=4)
    for seed in range(3):
        alone = train("reinforce", "random-walk/20", [seed], 400, 100, trajectories=4)[seed]
        assert together[seed].curve["state_coverage"] == alone.curve["state_coverage"]
    task = catalogue.task("random-walk/4")
    visited = np.zeros((1, 4), bool)

    def right(x: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        return torch.ones(1, 16, dtype=torch.int64)

    collector = Collector(task, task.vector(1), make_head(task), 1, 16)
    collector.collect(right, [stream("environment", 0)], [stream("action noise", 0)], visited=visited)
    assert visited.tolist() == [[False, True, True, True]]


def test_coverage_counts_visited_states():
    (result,) = train("reinforce", "random-walk/20", [0], 400, 100).values()
    coverage = result.curve["state_coverage"]
    assert coverage == sorted(coverage)
    assert 2 / 20 < coverage[0] <= coverage[-1] <= 1
    assert (coverage[-1] * 20) == pytest.approx(round(coverage[-1] * 20))
    assert "state_coverage" not in train("reinforce", "bandit/10-arm", [0], 50, 50)[0].curve


class Poisoned(Reinforce):
    """Becomes NaN in its second row of seeds from the third call on."""

    summary: ClassVar[str] = "test"
    label: ClassVar[str] = "test"
    calls: ClassVar[list[int]] = []

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        output = super().__call__(batch)
        self.calls.append(1)
        poison = torch.zeros_like(output.loss)
        if len(self.calls) == 3:
            poison[1] = math.nan
        return ObjectiveOutput(output.loss + poison * batch.log_probs.sum((-1, -2, -3)), {})


def test_a_seed_that_becomes_nan_costs_itself_alone():
    Poisoned.calls.clear()
    settings = TrainerSettings(epochs=1, trajectories=16)
    results = train(NativeAlgorithm(Poisoned(), settings), "bandit/10-arm", [0, 1, 2], 160, 16)
    assert [results[seed].status for seed in range(3)] == ["done", "diverged", "done"]
    assert "not finite" in results[1].reason
    column = results[1].curve["eval_return"]
    assert len(column) == 11
    assert None not in column[:3]
    assert set(column[3:]) == {None}
    assert results[1].final["eval_return"] is None
    clean = train(NativeAlgorithm(Reinforce(), settings), "bandit/10-arm", [0, 2], 160, 16)
    for seed in (0, 2):
        assert without_clocks(results[seed]) == without_clocks(clean[seed])


def test_chunks_change_nothing_but_rounding(monkeypatch):
    """The gradient of a batch cut into many small chunks, of one recomputed, and of the plain whole: all the same."""
    task = catalogue.task("random-walk/20")
    network = Network(20, (16,), make_head(task))
    parameters = torch.from_numpy(
        np.stack([network.initial(stream("initialisation", s)) + 0.3 * stream("ppo", s).normal(size=sum(network.sizes))
                  for s in range(3)]).astype(np.float32)
    )  # fmt: skip
    collector = Collector(task, task.vector(6), network.head, 6, network.padded_rows(6))

    def act(x: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        return network.head.sample(network.outputs(network.fold(parameters), x), noise, greedy)

    streams = [[stream(p, s) for s in range(3)] for p in ("environment", "action noise")]
    rollout = collector.collect(act, *streams)
    objective = catalogue.algorithm("haepo-listwise").objective(kl_coefficient=2.0)
    reference = parameters * 0.9

    def gradient() -> Tensor:
        return PackedBatch(network, rollout, parameters, reference, task, "cpu").gradient(objective)[0]

    whole = gradient()
    own = [
        PackedBatch(network, rollout, parameters, reference, task, "cpu").gradient(objective)[0]
        for reference in (None, parameters.clone())
    ]
    assert torch.equal(*own)
    monkeypatch.setattr(mlp, "CHUNK_ROWS", 32)
    small = gradient()
    monkeypatch.setattr(mlp, "KEPT_ROWS", 0)
    assert torch.equal(small, gradient())
    assert torch.allclose(whole, small, atol=1e-5)

    # The same loss written down without chunks or packing; the network's own backward is tested elsewhere.
    K, T = rollout.mask.shape[1:]
    folded = network.fold(parameters)
    outputs, inputs = network.forward(folded, rollout.observations.reshape(3, 20, K * T))
    outputs.requires_grad_()
    evaluated = network.head.evaluate(
        outputs,
        rollout.actions.reshape(3, K * T),
        network.outputs(network.fold(reference), rollout.observations.reshape(3, 20, K * T)),
    )
    log_probs, entropy, kl = (part.reshape(3, 1, K, T) for part in evaluated)
    batch = TrajectoryBatch(
        log_probs=log_probs,
        entropy=entropy,
        kl_to_reference=kl,
        behaviour_log_probs=log_probs.detach(),
        reference_log_probs=log_probs,
        mask=rollout.mask[:, None],
        rewards=rollout.rewards[:, None],
        returns=torch.from_numpy(rollout.returns.astype(np.float32))[:, None],
        horizon=task.horizon,
    )
    (back,) = torch.autograd.grad(objective(batch).loss.sum(), outputs)
    assert torch.allclose(whole, network.backward(folded, inputs, back), atol=1e-5)


def test_rollout_masks_end_where_episodes_end():
    task = catalogue.task("gym/CartPole-v1", time_limit=12)
    head = make_head(task)
    collector = Collector(task, task.vector(3), head, 3, 8)

    def left(x: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        return torch.zeros(2, 8, dtype=torch.int64)

    rollout = collector.collect(left, [stream("environment", s) for s in (0, 1)], [stream("action noise", 0)] * 2)
    assert rollout.mask.shape == (2, 3, rollout.lengths.max())
    assert (rollout.returns == rollout.lengths).all()
    assert (rollout.lengths >= 8).all()
    assert (rollout.lengths <= 12).all()
    for seed in range(2):
        for k in range(3):
            n = rollout.lengths[seed, k]
            assert rollout.mask[seed, k].tolist() == [True] * n + [False] * (rollout.lengths.max() - n)
            assert rollout.rewards[seed, k].sum() >= n


def test_gradient_clipping_is_a_seeds_own():
    task = catalogue.task("bandit/10-arm")
    recorder = Recorder([0, 1], budget=100, every=100, episodes=2)
    trainer = EpisodeTrainer(task, Reinforce(), TrainerSettings(max_gradient_norm=1.0), [0, 1], recorder, "cpu")
    gradient = torch.zeros_like(trainer.parameters)
    gradient[0, :4], gradient[1, :4] = 3.0, 0.1
    assert trainer._clip(gradient).tolist() == pytest.approx([6.0, 0.2])
    assert gradient.norm(dim=1).tolist() == pytest.approx([1.0, 0.2], abs=1e-5)


@pytest.mark.parametrize(
    ("reference", "expected"), [("previous", [0, 1, 2, 3]), ("initial", [0] * 4), (2, [0, 0, 2, 2])]
)
def test_reference_policies(reference, expected):
    """Which iteration's parameters the reference has, iteration by iteration."""
    task = catalogue.task("bandit/10-arm")
    recorder = Recorder([0], budget=100, every=100, episodes=2)
    trainer = EpisodeTrainer(task, Reinforce(), TrainerSettings(reference=reference), [0], recorder, "cpu")
    seen = []
    for iteration in range(4):
        trainer.parameters[:] = iteration
        if iteration == 0 and trainer.reference is not None:
            trainer.reference = trainer.parameters.clone()
        trainer._refresh_reference(iteration)
        reference = trainer.parameters if trainer.reference is None else trainer.reference
        seen.append(int(reference[0, 0]))
    assert seen == expected


def test_marks():
    assert marks(25, 100) == [0, 25, 50, 75, 100]
    assert marks(30, 100) == [0, 30, 60, 90, 100]
    assert marks(500, 100) == [0, 100]


def test_recorder_serves_all_marks_that_an_iteration_crosses():
    results: list[SeedResult] = []
    recorder = Recorder([7], budget=100, every=20, episodes=1, on_finished=results.append)
    recorder.collected(7, 45, 3, {"x": 1.0})
    assert recorder.due() == [(7, 2)]
    recorder.evaluated(7, Evaluation(1.0, 0.5, 2.0, 9))
    assert recorder.due() == []
    recorder.updated(7, 4, {"y": 5.0})
    recorder.collected(7, 10, 1, {"x": 2.0})
    assert recorder.due() == []  # mark 60 needs a step beyond 60
    recorder.updated(7, 4, {"y": 7.0, "eval_return": 99.0})  # kept apart from the measurement
    recorder.collected(7, 50, 1, {"x": 4.0})
    assert recorder.due() == [(7, 5)]
    recorder.evaluated(7, Evaluation(3.0, 0.5, 4.0, 9))
    (result,) = results
    assert result.curve["env_steps"] == [0, 20, 40, 60, 80, 100]
    assert result.curve["eval_return"] == [1, 1, 1, 3, 3, 3]
    assert result.curve["x"] == [1, 1, 1, 3, 3, 3]
    assert result.curve["y"] == [None, None, None, 6, 6, 6]
    assert result.curve["eval_return_recorded"] == [None, None, None, 99, 99, 99]
    assert result.curve["gradient_steps"] == [0, 0, 0, 8, 8, 8]
    assert result.cost["env_steps_collected"] == 105


def test_streams_are_keyed():
    draws = [stream("environment", *key).integers(2**60) for key in ((1, 23), (12, 3), (1, 2, 3), (123,))]
    assert len({*draws}) == 4
    assert stream("environment", 1).integers(2**60) == stream("environment", 1).integers(2**60)
    assert stream("environment", 1).integers(2**60) != stream("evaluation", 1).integers(2**60)
    assert 0 <= hashed_seed("ppo", 5) < 2**31


def test_plugins_may_be_objectives_or_definitions():
    assert catalogue.as_definition("mine", Poisoned).summary == "test"
    definition = catalogue.algorithm("ppo")
    assert catalogue.as_definition("ppo", definition) is definition
    with pytest.raises(Exception, match="neither an Objective nor an AlgorithmDefinition"):
        catalogue.as_definition("mine", Objective.__class__)
