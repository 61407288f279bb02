"""`ppo-batched` against Stable-Baselines3's PPO, piece by piece, and what its runs depend on."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
from test_training import train, without_clocks
from torch.nn.functional import mse_loss

from haepo_bench import catalogue
from haepo_bench.errors import ParameterError
from haepo_bench.objectives.base import TrajectoryBatch
from haepo_bench.objectives.ppo import Ppo, normalised_advantages
from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.policies.heads import Categorical, DiagonalGaussian
from haepo_bench.training.heads import make_head
from haepo_bench.training.ppo_settings import SegmentSettings
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.segments.algorithm import SegmentDefinition
from haepo_bench.training.segments.collector import Segments
from haepo_bench.training.segments.minibatches import Minibatches
from haepo_bench.training.segments.trainer import SegmentTrainer, _means
from haepo_bench.training.streams import stream


def loss_of_sb3(
    log_prob, old_log_prob, entropy, values, returns, advantages, clip_range, ent_coef, vf_coef,
    old_values, clip_range_vf, normalize_advantage,
):  # fmt: skip
    """stable_baselines3/ppo/ppo.py, `train`, line by line."""
    if normalize_advantage and len(advantages) > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    ratio = torch.exp(log_prob - old_log_prob)
    policy_loss_1 = advantages * ratio
    policy_loss_2 = advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range)
    policy_loss = -torch.min(policy_loss_1, policy_loss_2).mean()
    clip_fraction = torch.mean((torch.abs(ratio - 1) > clip_range).float())
    if clip_range_vf is not None:
        values = old_values + torch.clamp(values - old_values, -clip_range_vf, clip_range_vf)
    return policy_loss + ent_coef * -torch.mean(entropy) + vf_coef * mse_loss(returns, values), clip_fraction


@pytest.mark.parametrize("clip_range_vf", [None, 0.4])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 23, 32])
def test_the_loss_is_stable_baselines3s(rows, normalize, clip_range_vf):
    """With NaN in the padding, which must not matter; loss, its gradient, and what is plotted."""
    g = torch.Generator().manual_seed(rows)
    log_probs, old, entropy, values, behaviour, advantages = torch.randn(6, 3, 1, 1, 32, generator=g)
    mask = torch.zeros(3, 1, 1, 32, dtype=torch.bool)
    mask[..., :rows] = True
    leaves = [torch.where(mask, x, 0.5).requires_grad_() for x in (log_probs, entropy, values)]
    missing = torch.full_like(old, math.nan)
    batch = TrajectoryBatch(
        log_probs=leaves[0],
        entropy=leaves[1],
        kl_to_reference=missing,
        behaviour_log_probs=torch.where(mask, old, math.nan),
        reference_log_probs=missing,
        mask=mask,
        rewards=missing,
        returns=missing[..., 0],
        horizon=500,
        values=leaves[2],
        behaviour_values=torch.where(mask, behaviour, math.nan),
        advantages=torch.where(mask, advantages, math.nan),
        value_targets=torch.where(mask, advantages + behaviour, math.nan),
    )
    chosen = {"clip_range_vf": clip_range_vf, "normalize_advantage": normalize}
    output = Ppo(clip_range=0.3, ent_coef=0.02, vf_coef=0.7, **chosen)(batch)
    found = torch.autograd.grad(output.loss.sum(), leaves)
    for seed in range(3):
        own = [leaf.detach()[seed, 0, 0, :rows].requires_grad_() for leaf in leaves]
        a = advantages[seed, 0, 0, :rows]
        values_then = behaviour[seed, 0, 0, :rows]
        expected, clipped = loss_of_sb3(
            own[0], old[seed, 0, 0, :rows], own[1], own[2], a + values_then, a, 0.3, 0.02, 0.7,
            values_then, clip_range_vf, normalize,
        )  # fmt: skip
        assert output.loss[seed].item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
        assert output.diagnostics["clip_fraction"][seed].item() == pytest.approx(clipped.item())
        for gradient, theirs in zip(found, torch.autograd.grad(expected, own), strict=True):
            assert torch.allclose(gradient[seed, 0, 0, :rows], theirs, atol=1e-6)
            assert not gradient[seed, 0, 0, rows:].any()


def test_a_single_step_keeps_its_advantage():
    mask = torch.tensor([True, False])[None, None, None]
    assert normalised_advantages(torch.tensor([3.0, math.nan])[None, None, None], mask).tolist() == [[[[3.0, 0.0]]]]


def test_the_clip_range_falls_to_zero_only_where_it_is_scheduled():
    assert Ppo(clip_range=0.4, clip_range_schedule="linear").at(0.25).clip_range == pytest.approx(0.1)
    assert Ppo(clip_range=0.4).at(0.25).clip_range == 0.4


def flat(network: ActorCritic, model: PPO) -> np.ndarray:
    """Stable-Baselines3's parameters as ours [parameter]."""
    state = {name: value.numpy() for name, value in model.policy.state_dict().items()}
    parts = []
    for name, part in (("policy", network.policy), ("value", network.value)):
        layers = [f"mlp_extractor.{name}_net.{2 * n}" for n in range(len(part.hidden))]
        for layer in [*layers, "action_net" if name == "policy" else "value_net"]:
            parts += [state[f"{layer}.weight"].ravel(), state[f"{layer}.bias"]]
        if name == "policy" and "log_std" in state:
            parts.append(state["log_std"])
        parts.append(np.zeros(part.sizes[-1]))
    return np.concatenate(parts).astype(np.float32)


def segments_of(network: ActorCritic, models: list[PPO], parameters: torch.Tensor) -> Segments:
    """The models' rollout buffers, environment by environment."""

    def rows(name: str) -> torch.Tensor:
        parts = [RolloutBuffer.swap_and_flatten(getattr(model.rollout_buffer, name)) for model in models]
        return torch.from_numpy(np.stack(parts).astype(np.float32))

    observations = rows("observations").transpose(1, 2).contiguous()
    n = observations.shape[2]
    padded = torch.zeros(*observations.shape[:2], network.padded_rows(n))
    padded[:, :, :n] = observations
    actions = rows("actions")
    if isinstance(network.policy.head, Categorical):
        actions = actions[..., 0].long()
    return Segments(
        observations=observations,
        actions=actions,
        outputs=network.policy.outputs(network.fold(parameters)[0], padded)[:, :, :n],
        log_probs=rows("log_probs")[..., 0],
        rewards=rows("rewards")[..., 0],
        values=rows("values")[..., 0],
        advantages=rows("advantages")[..., 0],
        episodes=(),
    )


class Order:
    """Stands for a random stream whose permutations are known."""

    def __init__(self, permutations: list[np.ndarray]) -> None:
        self._next = iter(permutations)

    def permutation(self, n: int) -> np.ndarray:
        return next(self._next)


@pytest.mark.parametrize(
    ("address", "target_kl", "options", "activation"),
    [
        ("gym/CartPole-v1", None, {}, "tanh"),
        ("gym/CartPole-v1", 0.001, {}, "relu"),
        ("gym/Pendulum-v1", None, {"clip_range_vf": 0.02, "normalize_advantage": False}, "relu"),
        ("gym/Pendulum-v1", 0.001, {}, "tanh"),
    ],
)
def test_one_update_equals_stable_baselines3s(address, target_kl, options, activation, monkeypatch):
    """Two seeds from the same parameters, with the same rollouts and the same minibatches: the same parameters after.

    90 steps in minibatches of 40, 40 and 10, three epochs, linear schedules, entropy bonus, clipped gradients.
    """
    task = catalogue.task(address)
    shared: dict[str, Any] = {
        "n_steps": 30, "batch_size": 40, "n_epochs": 3, "gamma": 0.98, "gae_lambda": 0.8,
        "ent_coef": 0.01, "vf_coef": 0.4, "max_grad_norm": 0.3, "target_kl": target_kl,
    }  # fmt: skip
    budget, models = 900, []
    for seed in range(2):
        environments = DummyVecEnv([lambda: Monitor(task.environment())] * 3)
        with pytest.warns(UserWarning, match="truncated mini-batch"):
            model = PPO(
                "MlpPolicy", environments, seed=seed, learning_rate=lambda left: 3e-3 * left,
                clip_range=lambda left: 0.2 * left, **shared, **options,
                policy_kwargs={"activation_fn": {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[activation]},
            )  # fmt: skip
        model.set_logger(configure(None, []))
        _, callback = model._setup_learn(budget)
        model.collect_rollouts(environments, callback, model.rollout_buffer, 30)
        model._update_current_progress_remaining(90, budget)
        models.append(model)
    recorder = Recorder([0, 1], budget=budget, every=budget, episodes=2)
    own = {"ent_coef": 0.01, "vf_coef": 0.4, "clip_range": 0.2, "clip_range_schedule": "linear", **options}
    rest = {k: v for k, v in shared.items() if k not in own}
    rest |= {"activation": activation, "learning_rate_schedule": "linear"}
    settings = SegmentSettings(n_envs=3, learning_rate=3e-3, **rest)
    trainer = SegmentTrainer(task, Ppo(**own), settings, [0, 1], recorder, "cpu")
    network = trainer.network
    trainer.parameters[:] = torch.from_numpy(np.stack([flat(network, model) for model in models]))
    before = trainer.parameters.clone()
    segments = segments_of(network, models, before)

    orders, steps = [], []
    permutation = np.random.permutation
    for model in models:
        drawn: list[np.ndarray] = []
        monkeypatch.setattr(np.random, "permutation", lambda n, drawn=drawn: drawn.append(permutation(n)) or drawn[-1])
        counted: list[int] = []
        model.policy.optimizer.register_step_post_hook(lambda *_, counted=counted: counted.append(1))
        model.train()
        steps.append(len(counted))
        # Where an update ended early our other seed may go on: any order will do then.
        orders.append(Order([*drawn, *[np.arange(90)] * 3]))
    monkeypatch.undo()

    trainer.env_steps = 90
    remaining = 1 - trainer.env_steps / budget
    trainer.optimiser.learning_rate = remaining * settings.learning_rate
    failures: dict[int, Exception] = {}
    minibatches = Minibatches(network, segments, settings.batch_size, task.horizon)
    seen = trainer._learn(minibatches, orders, trainer.objective.at(remaining), failures)
    assert not failures
    means = _means(seen)
    assert [count for count, _ in means] == steps
    assert steps == [9, 9] if target_kl is None else min(steps) < 9
    for seed, model in enumerate(models):
        logged = model.logger.name_to_value
        assert means[seed][1]["kl_previous"] == pytest.approx(logged["train/approx_kl"], abs=1e-5)
        assert means[seed][1]["policy_entropy"] == pytest.approx(-logged["train/entropy_loss"], abs=1e-4)
        theirs = torch.from_numpy(flat(network, model))
        assert (theirs - before[seed]).abs().max() > 1e-3
        assert torch.allclose(trainer.parameters[seed], theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("address", ["gym/CartPole-v1", "gym/Pendulum-v1"])
def test_initial_weights_are_drawn_as_stable_baselines3s(address):
    """Orthogonal with the same gains: equal singular values layer by layer; and uniform ones of the same spread."""
    task = catalogue.task(address)
    (inputs,) = task.observation_space.shape
    for orthogonal in (True, False):
        network = ActorCritic(inputs, (64, 64), make_head(task), log_std=-0.5, orthogonal=orthogonal)
        ours = network.named(
            torch.from_numpy(network.initial(stream("initialisation", 0), stream("initialisation", 1)))
        )
        model = PPO("MlpPolicy", DummyVecEnv([task.environment]), policy_kwargs={"ortho_init": orthogonal})
        theirs = network.named(torch.from_numpy(flat(network, model)))
        for name, weight in theirs.items():
            if name == "log_std":
                assert (ours[name] == -0.5).all()
            elif orthogonal and "weight" in name:
                values = [np.linalg.svd(x, compute_uv=False) for x in (ours[name], weight)]
                np.testing.assert_allclose(*values, rtol=1e-4)
            elif orthogonal:
                assert not ours[name].any()
            elif "weight_1" in name:
                assert np.abs(ours[name]).max() == pytest.approx(1 / 8, rel=0.01)
                assert ours[name].std() == pytest.approx(weight.std(), rel=0.05)


@pytest.mark.parametrize(
    ("task", "parameters"),
    [
        ("gym/CartPole-v1", {"n_envs": 3, "n_steps": 19, "batch_size": 13, "net_arch": [9, 5], "n_epochs": 3}),
        ("gym/CartPole-v1", {"n_envs": 1, "n_steps": 70, "batch_size": 64, "target_kl": 0.002, "learning_rate": 0.01}),
        ("random-walk/20", {"n_envs": 5, "n_steps": 8, "net_arch": [1], "normalize": True}),
        ("gym/Pendulum-v1", {"n_envs": 7, "n_steps": 100, "batch_size": 33, "n_epochs": 2, "normalize": True}),
        ("gym/Acrobot-v1", {"n_envs": 3, "n_steps": 60, "net_arch": []}),
        ("gym/CartPole-v1", {"n_envs": 3, "n_steps": 19, "net_arch": [9, 5], "activation": "relu"}),
        ("gym/FrozenLake-v1", {"n_envs": 2, "n_steps": 30}),
        ("bandit/10-arm", {}),
    ],
)
def test_a_run_is_the_same_alone_and_among_others(task, parameters):
    """Byte for byte in every column but the clock's, with sizes that kernels like least."""
    budget = 1500 if "Pendulum" in task else 400
    among = train("ppo-batched", task, [0, 1, 2, 3, 4], budget, 150, **parameters)
    alone = train("ppo-batched", task, [3], budget, 150, **parameters)
    others = train("ppo-batched", task, [4, 3], budget, 150, **parameters)
    assert without_clocks(among[3]) == without_clocks(alone[3]) == without_clocks(others[3])
    assert without_clocks(among[4]) == without_clocks(others[4])
    assert without_clocks(among[3]) != without_clocks(among[4])
    if "target_kl" in parameters:
        assert len({result.cost["gradient_steps"] for result in among.values()}) > 1


def test_steps_are_counted_as_stable_baselines3s_ppo_counts_them():
    """The same marks, steps and gradient steps; 8 x 32 steps before an update of 20 epochs in one minibatch."""
    results = [train(name, "gym/CartPole-v1", [0], 1_003, 256)[0] for name in ("ppo-batched", "ppo")]
    for result in results:
        assert result.cost["env_steps_collected"] == 1_008
        assert result.curve["env_steps"] == [0, 256, 512, 768, 1003]
        assert result.curve["gradient_steps"] == [0, 20, 40, 60, 60]
        assert result.cost["gradient_steps"] == 60
    assert set(results[1].curve) <= set(results[0].curve)


def test_a_seed_that_diverges_costs_itself_alone():
    """Parameters of seed 1 become NaN after its second update; the others' runs are what they are without it."""

    def run(seeds: list[int], poisoned: int | None) -> dict[int, Any]:
        results: list[Any] = []
        recorder = Recorder(seeds, budget=600, every=100, episodes=2, on_finished=results.append)
        task = catalogue.task("gym/CartPole-v1")
        settings = SegmentSettings(n_envs=2, n_steps=50, n_epochs=2, normalize=True)
        trainer = SegmentTrainer(task, Ppo(), settings, seeds, recorder, "cpu")
        learn, calls = trainer._learn, []

        def learning(*arguments):
            seen = learn(*arguments)
            calls.append(1)
            if len(calls) == 2 and poisoned is not None:
                trainer.parameters[seeds.index(poisoned), 7] = math.nan
            return seen

        trainer._learn = learning
        trainer.train()
        return {result.seed: result for result in results}

    results, clean = run([0, 1, 2], 1), run([0, 2], None)
    assert [results[seed].status for seed in range(3)] == ["done", "diverged", "done"]
    for seed in (0, 2):
        assert without_clocks(results[seed]) == without_clocks(clean[seed])


@pytest.mark.slow
def test_it_learns_to_balance():
    """CartPole with the Zoo's settings: after 20,000 steps both seeds hold far longer than the untrained 20 steps."""
    for result in train("ppo-batched", "gym/CartPole-v1", [0, 1], 20_000, 10_000).values():
        assert result.curve["eval_return"][0] < 60
        assert result.final["eval_return"] > 100


def test_settings_are_ppos_task_by_task():
    """Every hyper-parameter of `ppo` but those of state-dependent exploration, with the same value."""
    ours, theirs = catalogue.algorithm("ppo-batched"), catalogue.algorithm("ppo")
    sde = {"use_sde", "sde_sample_freq"}
    assert {d.name: d for d in ours.describe_parameters() if d.name not in ("policy", "critic")} == {
        d.name: d for d in theirs.describe_parameters() if d.name not in sde
    }
    for address in ("gym/CartPole-v1", "gym/Acrobot-v1", "gym/MountainCar-v0", "bandit/10-arm"):
        task = catalogue.task(address)
        a, b = ours.configure({"gamma": 0.5}, task), theirs.configure({"gamma": 0.5}, task)
        assert a.parameters == {name: value for name, value in b.parameters.items() if name not in sde}
        assert a.information.discount == 0.5
        assert a.notes[0].partition(":")[2] == b.notes[0].partition(":")[2]
    pendulum = ours.configure({}, catalogue.task("gym/Pendulum-v1"))
    assert pendulum.parameters == {d.name: d.default for d in ours.describe_parameters()} | {"net_arch": [64, 64]}
    assert "state-dependent exploration" in pendulum.notes[1]


@pytest.mark.parametrize("name", ["use_sde", "sde_sample_freq"])
def test_state_dependent_exploration_is_refused(name):
    with pytest.raises(ParameterError, match="use ppo, which has it"):
        catalogue.algorithm("ppo-batched").configure({name: 1}, catalogue.task("gym/Pendulum-v1"))


def test_an_objective_that_collects_segments_becomes_an_algorithm():
    definition = catalogue.as_definition("mine", Ppo)
    assert isinstance(definition, SegmentDefinition)
    assert definition.configure({"n_envs": 3}, catalogue.task("gym/CartPole-v1")).parameters["n_steps"] == 64


def test_policies_are_kept_with_the_statistics_they_need():
    kept: dict[int, Any] = {}
    recorder = Recorder(
        [3], budget=200, every=200, episodes=1, on_policy=lambda seed, state: kept.update({seed: state})
    )
    task = catalogue.task("gym/Pendulum-v1")
    algorithm = catalogue.algorithm("ppo-batched").configure({"normalize": True}, task)
    algorithm.train(task, [3], recorder, device="cpu")
    shapes = {name: array.shape for name, array in kept[3].items()}
    assert shapes["weight_2"] == (1, 64)
    assert shapes["log_std"] == (1,)
    assert shapes["value_weight_0"] == (64, 3)
    assert shapes["observation_mean"] == shapes["observation_variance"] == (3,)
    assert "value_log_std" not in shapes


def test_heads_have_what_actor_critics_need():
    network = ActorCritic(3, (5,), DiagonalGaussian(2))
    parameters = torch.from_numpy(network.initial(stream("initialisation", 0), stream("initialisation", 1)))[None]
    x = torch.randn(1, 3, network.padded_rows(4), generator=torch.Generator().manual_seed(0))
    folded = network.fold(parameters)
    outputs, estimates, _ = network.forward(folded, x)
    assert torch.equal(outputs, network.policy.outputs(folded[0], x))
    assert torch.equal(estimates[:, 0], network.values(folded, x))
