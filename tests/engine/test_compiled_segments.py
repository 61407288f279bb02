"""Objectives on segments with the compiled engine: against torch, and alone or among other seeds."""

import numpy as np
import pytest
import torch
from test_compiled_training import train
from training_support import without_clocks

from haepo_bench import catalogue
from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.training.exploration import Exploration
from haepo_bench.training.heads import make_head
from haepo_bench.training.ppo_settings import SegmentSettings
from haepo_bench.training.segments.compiled import CompiledSegments
from haepo_bench.training.segments.engine import TorchSegments
from haepo_bench.training.streams import stream

SMALL = {"n_envs": 3, "n_steps": 40, "batch_size": 32, "n_epochs": 2}


class Collected:
    """What both engines collect with the same policies of two seeds, in two iterations."""

    def __init__(self, name: str, time_limit: int | None, **settings: object) -> None:
        self.task = catalogue.task(name, time_limit=time_limit)
        self.settings = SegmentSettings(**{**SMALL, **settings})
        network = ActorCritic(self.task.observation_space.shape[0], (64, 64), make_head(self.task))
        self.network = network
        keys = [(stream("initialisation", seed), stream("initialisation", seed, 1)) for seed in (0, 1)]
        self.parameters = torch.from_numpy(np.stack([network.initial(*key) for key in keys]))
        self.engines = {"torch": TorchSegments(network), "compiled": CompiledSegments(network)}
        self.segments, self.visited = {}, []
        for name, engine in self.engines.items():
            exploration = Exploration(self.task, 2)
            collector = engine.collector(self.task, self.settings, [0, 1], exploration)
            self.segments[name] = [collector.collect(self.parameters, i, self.settings.n_steps) for i in range(2)]
            self.visited.append(exploration.visited)


CASES = [
    ("gym/CartPole-v1", None, {}),
    ("gym/CartPole-v1", 12, {}),
    ("gym/Pendulum-v1", 15, {"normalize": True}),
    ("gym/Pendulum-v1", 15, {}),
    ("gym/Acrobot-v1", 25, {}),
    ("random-walk/20", None, {}),
    ("deep-sea/6", None, {}),
    ("corridor/equal", None, {}),
    ("random-walk/20", 9, {}),
    ("maze/4", None, {}),
]


@pytest.mark.parametrize(("name", "time_limit", "settings"), CASES, ids=[f"{c[0]} {c[1]} {c[2]}" for c in CASES])
def test_segments_are_those_of_torch(name, time_limit, settings):
    """Values and log-probabilities within 1e-5, the same episodes with the same ends, cuts and starts."""
    made = Collected(name, time_limit, **settings)
    for theirs, mine in zip(*made.segments.values(), strict=True):
        for part in ("observations", "actions", "outputs", "log_probs", "rewards", "values", "advantages"):
            expected, found = getattr(theirs, part), getattr(mine, part)
            assert found.dtype == expected.dtype
            assert torch.allclose(found, expected, rtol=1e-4, atol=2e-5), part
        assert [e.steps for e in mine.episodes] == [e.steps for e in theirs.episodes]
        for own, other in zip(mine.episodes, theirs.episodes, strict=True):
            assert own.returns == pytest.approx(other.returns, rel=1e-6)
            assert own.measures == other.measures
    assert np.array_equal(*made.visited)
    assert sum(len(e.returns) for e in made.segments["compiled"][1].episodes) > 0


@pytest.mark.parametrize("rows", [None, [1]], ids=str)
def test_minibatches_have_the_gradient_that_torch_takes(rows):
    """Of the last minibatch, which is shorter, too; and of some of the seeds alone."""
    made = Collected("gym/CartPole-v1", 30)
    objective = catalogue.algorithm("ppo-batched").objective()
    batches = {}
    for name, engine in made.engines.items():
        batches[name] = engine.minibatches(made.segments["torch"][0], made.settings.batch_size, made.task.horizon)
        orders = [stream("minibatch", seed).permutation(batches[name].steps) for seed in (0, 1)]
        batches[name].shuffle(np.stack(orders))
    assert batches["torch"].steps % made.settings.batch_size
    moved = made.parameters + 0.01 * torch.from_numpy(
        np.random.default_rng(0).standard_normal(made.parameters.shape).astype(np.float32)
    )
    own = moved if rows is None else moved[rows]
    for number in range(batches["torch"].count):
        (expected, theirs), (slope, mine) = (b.gradient(number, own, objective, rows) for b in batches.values())
        assert ((slope - expected).abs() <= 1e-4 * expected.abs().amax(1, keepdim=True)).all()
        for column, value in theirs.items():
            assert torch.allclose(mine[column], value, rtol=1e-4, atol=1e-5), column


ALONE = [("gym/CartPole-v1", {}), ("gym/Pendulum-v1", {"n_envs": 1}), ("gym/Pendulum-v1", {"normalize": True}),
         ("random-walk/20", {"target_kl": 0.001})]  # fmt: skip


@pytest.mark.parametrize(("task", "settings"), ALONE, ids=[f"{case[0]} {case[1]}" for case in ALONE])
def test_a_seed_trains_to_the_same_bytes_alone_and_among_others(task, settings):
    together = train("ppo-batched", task, [0, 1, 7], 600, "compiled", **{**SMALL, **settings})
    for some in ([1], [7, 0]):
        for seed, trained in train("ppo-batched", task, some, 600, "compiled", **{**SMALL, **settings}).items():
            assert trained.result.cost["gradient_steps"] > 0
            assert trained.policy == together[seed].policy
            assert without_clocks(trained.result) == without_clocks(together[seed].result)
    assert len({str(trained.policy) for trained in together.values()}) == 3
