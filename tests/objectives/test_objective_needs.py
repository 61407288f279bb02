"""What objectives may ask for: start states in common, a sample of the reference, tempered log-probabilities."""

import itertools
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from cli_support import run_apart
from gymnasium import spaces
from objective_support import loss, toy
from torch import Tensor
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.calibrl import Calibrl
from haepo_bench.objectives.dcpo import Dcpo
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.qrpo import Qrpo
from haepo_bench.objectives.reinforce import Reinforce
from haepo_bench.policies.heads import Categorical, DiagonalGaussian
from haepo_bench.tasks.finite.tabular import Tabular
from haepo_bench.training.episodes.algorithm import NativeAlgorithm
from haepo_bench.training.episodes.expert import Expert
from haepo_bench.training.episodes.trainer import EpisodeTrainer
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import stream

SEEDS = 3
#: Tasks that draw their start states, by how they are stepped: arrays, one gymnasium environment each, tables.
DRAWN = [
    "gym/CartPole-v1",
    "gym/Pendulum-v1",
    "gym/MountainCarContinuous-v0",
    "t-maze/5",
    "umbrella/5",
    "noise(gym/CartPole-v1,0.5)",
    "window(t-maze/5,2)",
]


def streams(purpose: int) -> list[np.random.Generator]:
    return [stream("environment", seed, purpose) for seed in range(SEEDS)]


@pytest.mark.parametrize("address", DRAWN)
def test_pairs_start_alike(address: str) -> None:
    """Within a seed and reset all do; seeds and resets differ; without it they differ within a seed."""
    task = catalogue.task(address).training()
    paired, grouped = task.paired(6), task.grouped(6)
    starts = np.concatenate([paired.reset(streams(n)) for n in range(20)])
    assert (starts == starts[:, :1]).all()
    assert len(np.unique(starts[:, 0], axis=0)) > 1
    apart = np.concatenate([grouped.reset(streams(n)) for n in range(20)])
    assert not (apart == apart[:, :1]).all()
    # The first episode's start is the one that it would have had anyway.
    assert np.array_equal(starts[:, 0], apart[:, 0])
    paired.close()
    grouped.close()


def test_what_happens_after_a_common_start_is_each_episodes_own() -> None:
    """FrozenLake is slippery: the same actions from the same start lead to different places."""
    paired = catalogue.task("gym/FrozenLake-v1").paired(16)
    starts = paired.reset(streams(0))
    assert (starts == starts[:, :1]).all()
    live = np.ones((SEEDS, 16), bool)
    arrived = paired.step(np.full((SEEDS, 16), 2), live).observations
    assert all(len(np.unique(arrived[seed], axis=0)) > 1 for seed in range(SEEDS))
    again = catalogue.task("gym/FrozenLake-v1").paired(16)
    again.reset(streams(0))
    assert np.array_equal(again.step(np.full((SEEDS, 16), 2), live).observations, arrived)
    noisy = catalogue.task("noise(gym/CartPole-v1,0.5)").training().paired(4)
    noisy.reset(streams(0))
    assert len(np.unique(noisy.step(np.zeros((SEEDS, 4), int), live[:, :4]).rewards)) == SEEDS * 4
    paired.close()
    again.close()


def test_tables_draw_rewards_apart() -> None:
    noisy = Tabular(
        "test/pairs",
        "",
        version=1,
        next_state=np.array([[2], [2], [2]]),
        reward=np.zeros((3, 1)),
        terminal=np.array([False, False, True]),
        start=np.array([0.5, 0.5, 0.0]),
        horizon=1,
        reward_noise=np.ones((3, 1)),
    )
    paired = noisy.paired(32)
    starts = paired.reset(streams(0))
    assert (starts == starts[:, :1]).all()
    rewards = paired.step(np.zeros((SEEDS, 32), int), np.ones((SEEDS, 32), bool)).rewards
    assert [sorted(np.unique(row)) for row in rewards] == [[-1.0, 1.0]] * SEEDS


class Spy(Reinforce):
    """Keeps the batches that it sees."""

    seen: ClassVar[list[TrajectoryBatch]] = []

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        self.seen.append(batch)
        return super().__call__(batch)


def spied(objective: Spy, task: str, budget: int, **settings: object) -> list[TrajectoryBatch]:
    objective.seen.clear()
    algorithm = NativeAlgorithm(objective, TrainerSettings(epochs=1, trajectories=4, **settings))
    train(algorithm, task, [0, 1], budget, budget)
    return list(objective.seen)


class SpySampling(Spy):
    """Asks for a sample."""

    @property
    def reference_sample(self) -> int:
        return 12


class SpyTempered(Spy):
    """Asks for two temperatures."""

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (1.0, 2.0)


def test_batches_bring_along_only_what_is_asked_for() -> None:
    batch = spied(Spy(), "bandit/10-arm", 8)[0]
    assert batch.reference_returns is None
    assert batch.tempered_log_probs is None


def test_the_reference_sample_is_played_once_by_the_initial_policy_and_counted() -> None:
    batches = spied(SpySampling(), "bandit/contextual", 400, reference="initial")
    samples = [batch.reference_returns for batch in batches]
    assert samples[0] is not None
    assert samples[0].shape[1:] == (4, 12)
    assert all(sample is not None and torch.equal(samples[0], sample) for sample in samples)
    # Group g has context g, whose level of reward no other context has: means -3, -1, 1, 3 plus 0 to 2.
    assert (samples[0][:2].mean((0, 2)).diff() > 0.5).all()
    # 4 groups of 12 episodes before the first batch of 16, a step each.
    (result,) = train(
        NativeAlgorithm(SpySampling(), TrainerSettings(epochs=1, trajectories=4, reference="initial")),
        "bandit/contextual", [0], 64, 64,
    ).values()  # fmt: skip
    assert result.cost["env_steps_collected"] == 64
    assert result.cost["episodes"] == 64
    assert result.cost["gradient_steps"] == 0  # the budget was reached before the first update


def test_the_reference_sample_is_renewed_with_the_reference() -> None:
    samples = [batch.reference_returns for batch in spied(SpySampling(), "bandit/10-arm", 76, reference=2)]
    tensors = [sample for sample in samples if sample is not None]
    assert (
        len(tensors) == len(samples) == 6
    )  # 4 samples of 12 and 7 batches of 4; no update where the budget is reached
    same = [torch.equal(a, b) for a, b in itertools.pairwise(tensors)]
    assert same == [True, False, True, False, True]


def test_a_batch_of_the_reference_policy_is_its_own_sample() -> None:
    (batch, *_) = spied(SpySampling(), "bandit/10-arm", 16, reference="previous")
    assert batch.reference_returns is not None
    assert torch.equal(batch.reference_returns, batch.returns)


def test_samples_leave_with_their_seeds() -> None:
    task = catalogue.task("bandit/10-arm")
    recorder = Recorder([0, 1, 2], budget=1000, every=1000, episodes=2)
    settings = TrainerSettings(reference="initial")
    trainer = EpisodeTrainer(task, Qrpo(), settings, [0, 1, 2], recorder, "cpu")
    trainer._alignment = type("Kept", (), {"keep": lambda self, rows: None})()  # type: ignore[assignment]
    trainer.collect(0)
    assert trainer.reference_sample is not None
    before = trainer.reference_sample.returns
    assert before is not None
    trainer.keep([2, 0])
    assert np.array_equal(trainer.reference_sample.returns, before[[2, 0]])
    trainer.close()


@pytest.mark.parametrize("address", ["bandit/10-arm", "gym/Pendulum-v1"])
def test_tempered_log_probabilities(address: str) -> None:
    batch = spied(SpyTempered(), address, 1_000)[0]
    assert batch.tempered_log_probs is not None
    same, warm = batch.tempered_log_probs
    taken = batch.mask[:2]
    assert torch.allclose(same[:2][taken], batch.behaviour_log_probs[:2][taken], atol=1e-6)
    assert not torch.allclose(warm[:2][taken], batch.behaviour_log_probs[:2][taken], atol=1e-6)


def test_heads_temper_to_powers_of_their_distributions() -> None:
    """log p_T(a) - log p(a) / T is the same for every action: the logarithm of the new constant."""
    outputs = torch.randn(1, 4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def spread(head: Categorical | DiagonalGaussian, actions: list[Tensor]) -> float:
        log_p = torch.stack([head.log_prob(outputs, a) for a in actions])
        tempered = torch.stack([head.log_prob(head.tempered(outputs, 1.7), a) for a in actions])
        gap = tempered - log_p / 1.7
        return float(gap.max() - gap.min())

    assert spread(Categorical(4), [torch.tensor([[a]]) for a in range(4)]) < 1e-12
    gaussian = [torch.tensor([[[x, -x * x]]], dtype=torch.float64) for x in (-2.0, 0.0, 0.5, 3.0)]
    assert spread(DiagonalGaussian(2), gaussian) < 1e-10


def test_objectives_say_what_their_batch_lacks() -> None:
    for objective, field in (
        (Qrpo(), "reference_returns"),
        (Dcpo(), "tempered_log_probs"),
        (Calibrl(), "expert_log_probs"),
    ):
        with pytest.raises(ValueError, match="needs"):
            objective(replace(toy(), **{field: None}))


def test_pair_methods_train_where_pairs_start_alike() -> None:
    """What a batch of theirs begins with; all else of a run is as for other objectives."""
    task = catalogue.task("gym/CartPole-v1")
    recorder = Recorder([0], budget=1000, every=1000, episodes=2)
    for objective, alike in ((Dpo(), True), (Reinforce(), False)):
        trainer = EpisodeTrainer(task, objective, TrainerSettings(), [0], recorder, "cpu")
        starts = trainer.collect(0).observations[0, :, :, 0]
        assert bool((starts == starts[:, :1]).all()) is alike
        trainer.close()


@pytest.mark.parametrize("name", ["qrpo", "dcpo", "rebel", "soup"])
def test_runs_on_continuous_tasks_are_the_same_alone_and_among_others(name: str) -> None:
    options = {"reference_episodes": 5} if name == "qrpo" else {}
    among = train(name, "gym/Pendulum-v1", [0, 1, 2], 3_000, 1_500, trajectories=3, **options)
    alone = train(name, "gym/Pendulum-v1", [2], 3_000, 1_500, trajectories=3, **options)
    assert without_clocks(among[2]) == without_clocks(alone[2])


def test_the_expert_plays_from_the_batchs_start() -> None:
    """A T-maze's hint differs from batch to batch; the expert turns as it says, and walks on otherwise."""
    task = catalogue.task("window(t-maze/5,2)").training()
    expert, paired = Expert(task), task.paired(4)
    hints = set()
    for n in range(12):
        starts, episode = paired.reset(streams(n)), expert.play(streams(n))
        assert np.array_equal(episode.observations[:, :, 0], starts[:, 0])
        live, returns = np.ones((SEEDS, 4), bool), np.zeros((SEEDS, 4))
        for time in range(task.horizon):
            step = paired.step(np.repeat(episode.actions[:, time, None], 4, 1), live)
            returns += np.where(live, step.rewards, 0.0)
            live = live & ~(step.terminated | step.truncated)
        assert task.references is not None
        assert returns == pytest.approx(task.references.solved)
        hints |= {tuple(row) for row in episode.actions.tolist()}
    assert len(hints) == 2
    expert.close()


def test_expert_log_probabilities_are_those_of_the_policy_that_collected() -> None:
    """Against the plain network, step by step; NaN beyond the expert's end."""
    task = catalogue.task("random-walk/6")
    recorder = Recorder([0, 1], budget=10_000, every=10_000, episodes=2)
    trainer = EpisodeTrainer(task, Calibrl(), TrainerSettings(), [0, 1], recorder, "cpu")
    episode = Expert(task).play([stream("environment", seed, 0) for seed in (0, 1)])
    assert episode.lengths.tolist() == [4, 4]  # from state 1 to state 5
    found = episode.log_probs(trainer.network, trainer.parameters, 40)
    assert torch.isnan(found[:, 4:]).all()
    observations = torch.from_numpy(episode.observations[:, :, :4])
    outputs = trainer.network.outputs(trainer.network.fold(trainer.parameters), observations)
    by_hand = torch.log_softmax(outputs, 1).gather(1, torch.from_numpy(episode.actions[:, None, :4]))[:, 0]
    assert torch.allclose(found[:, :4], by_hand, atol=1e-6)
    trainer.close()


def test_calibrl_by_hand() -> None:
    batch, A = toy(), torch.tensor([1.125, -0.875, 0.125, -0.375], dtype=torch.float64)
    pure = Calibrl(entropy_coefficient=0, guidance=0)
    r = torch.exp(torch.where(batch.mask, batch.log_probs - batch.behaviour_log_probs, 0.0))[0, 0].detach()
    surrogate = torch.minimum(r * A[:, None], r.clamp(0.8, 1.2) * A[:, None])
    assert loss(pure) == pytest.approx(-float(surrogate[batch.mask[0, 0]].sum()) / 7, abs=1e-12)
    # The expert's only step is place 0, with log-probability -0.2. Successes: trajectories 0 and 2.
    gaps = [-0.6 + 0.2, -0.9 + 0.2, -1.1 + 0.2, -0.3 + 0.2]
    leaked = [x if x > 0 else 0.5 * x for x in (-gaps[0], gaps[1], -gaps[2], gaps[3])]
    guided = sum(abs(a) * x for a, x in zip(A.tolist(), leaked, strict=True)) / 7
    assert loss(Calibrl(entropy_coefficient=0)) - loss(pure) == pytest.approx(0.1 * guided, abs=1e-12)
    all_fail = [0.5 * gap for gap in gaps]
    guided = sum(abs(a) * x for a, x in zip(A.tolist(), all_fail, strict=True)) / 7
    strict = Calibrl(entropy_coefficient=0, success_return=99)
    assert loss(strict) - loss(pure) == pytest.approx(0.1 * guided, abs=1e-12)


def test_calibrl_learns_and_its_runs_are_the_same_alone_and_among_others() -> None:
    """Random walk: a policy that takes the near reward is paid 0.1, the far one 1."""
    options = {"trajectories": 7, "learning_rate": 1e-3, "hidden": [9, 5]}
    among = train("calibrl", "random-walk/5", [0, 1, 2, 3], 4_000, 2_000, **options)
    assert without_clocks(among[3]) == without_clocks(
        train("calibrl", "random-walk/5", [3], 4_000, 2_000, **options)[3]
    )
    for result in among.values():
        assert result.final["eval_return_greedy"] == pytest.approx(1)


def test_experts_are_where_moves_are_certain() -> None:
    definition = catalogue.algorithm("calibrl")
    for address in ("random-walk/20", "deep-sea/6", "noise(corridor/8,1)", "window(t-maze/5,2)", "key-door/5"):
        assert definition.refuses(catalogue.task(address)) is None
    for address in ("gym/CartPole-v1", "gym/Pendulum-v1", "bandit/10-arm"):
        assert "expert" in (definition.refuses(catalogue.task(address)) or "")


def test_dppo_is_refused_where_actions_are_continuous() -> None:
    continuous = catalogue.task("gym/Pendulum-v1")
    assert isinstance(continuous.action_space, spaces.Box)
    for name in ("dppo", "dppo-kl"):
        assert "densities" in (catalogue.algorithm(name).refuses(continuous) or "")
        assert catalogue.algorithm(name).refuses(catalogue.task("gym/CartPole-v1")) is None
    assert catalogue.algorithm("grpo").refuses(continuous) is None


def test_validation_says_where_dppo_is_refused(tmp_path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "name: mixed\nseeds: 2\ntasks:\n  - {id: gym/Pendulum-v1, budget: {env_steps: 1000}}\n"
        "algorithms:\n  - grpo\n  - dppo\n"
    )
    code, out, err = run_apart("validate", str(suite))
    assert code == 4
    assert "suite.yaml:7" in err
    assert "dppo cannot be run on gym/Pendulum-v1" in err
    assert "Traceback" not in out + err
