"""Training with the compiled engine: against torch, objective by objective, and alone or among other seeds."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pytest
import torch
from training_support import without_clocks

from haepo_bench import catalogue
from haepo_bench.objectives.base import Objective
from haepo_bench.policies.heads import Head
from haepo_bench.policies.mlp import Network
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.environments.classic_control import ARRAY_ENVIRONMENTS
from haepo_bench.tasks.probes import probe_set
from haepo_bench.training.compiled_adam import CompiledAdam
from haepo_bench.training.episodes.compiled import CompiledCollector, CompiledEngine
from haepo_bench.training.episodes.engine import TorchEngine
from haepo_bench.training.episodes.expert import Expert
from haepo_bench.training.episodes.prefixes import Prefixes
from haepo_bench.training.heads import make_head
from haepo_bench.training.recorder import Recorder, SeedResult
from haepo_bench.training.streams import stream


def train(name: str, task: str, seeds: list[int], budget: int, engine: str, **settings: object) -> "dict[int, Trained]":
    made = catalogue.task(task)
    algorithm = catalogue.algorithm_on(made, name).configure(settings, made)
    assert engine in algorithm.engines(made, "cpu")
    algorithm.engine = engine
    results: list[SeedResult] = []
    policies: dict[int, dict[str, bytes]] = {}

    def keep(seed: int, state: Mapping[str, np.ndarray]) -> None:
        policies[seed] = {name: array.tobytes() for name, array in state.items()}

    recorder = Recorder(seeds, budget=budget, every=budget // 2, episodes=3, on_finished=results.append, on_policy=keep)
    algorithm.train(made, seeds, recorder, device="cpu")
    return {result.seed: Trained(result, policies.get(result.seed)) for result in results}


class Trained(NamedTuple):
    """A seed's result, and its final policy as bytes; None where it diverged."""

    result: SeedResult
    policy: dict[str, bytes] | None


def episodes_of(name: str) -> bool:
    """Whether an algorithm is an objective on whole episodes of small policies."""
    definition = catalogue.algorithm(name)
    return getattr(definition, "objective", None) is not None and definition.objective.collects == "episodes"


EPISODES = [name for name in catalogue.ALGORITHMS if episodes_of(name)]


class Engines:
    """Both engines, the same policies and the same episodes.

    Args:
        objective: which says what the batch brings along.
    """

    def __init__(self, task: Task, objective: Objective, seeds: int = 2, trajectories: int = 4) -> None:
        self.task, self.objective = task, objective
        head: Head = make_head(task)
        self.network = network = Network(task.observation_space.shape[0], (64, 64), head, last_gain=0.5)
        initial = np.stack([network.initial(stream("initialisation", seed)) for seed in range(seeds)])
        self.parameters = torch.from_numpy(initial)
        noise = np.random.default_rng(0).standard_normal(initial.shape).astype(np.float32)
        self.reference = self.parameters + 0.02 * torch.from_numpy(noise)
        self.engines = {"torch": TorchEngine(network, "cpu"), "compiled": CompiledEngine(network)}
        streams = [[stream(purpose, seed) for seed in range(seeds)] for purpose in ("environment", "action noise")]
        start = task.training().paired if objective.shares_start else task.training().grouped
        episodes = task.groups * trajectories
        collector = self.engines["torch"].collector(task, start(trajectories), episodes)
        self.rollout = collector.collect(self.engines["torch"].actor(self.parameters), *streams)
        self.expert = None
        if objective.wants_expert:
            self.expert = Expert(task).play([stream("environment", seed) for seed in range(seeds)])
        self.prefixes = None
        if objective.prefixes is not None:
            self.prefixes = Prefixes(self.reference.clone(), np.full((seeds, episodes), 3, np.int64))
        self.returns = None
        if objective.reference_sample:
            sampled = (seeds, task.groups * objective.reference_sample)
            self.returns = np.random.default_rng(1).normal(self.rollout.returns.mean(), 1.0, sampled)
        self.greedy = self.rollout.returns[:, : task.groups] + 0.5 if objective.wants_greedy else None

    def batch(self, engine: str):
        beside = {"reference_returns": self.returns, "expert": self.expert, "prefixes": self.prefixes}
        beside["greedy_returns"] = self.greedy
        common = (self.rollout, self.parameters, self.reference, self.task, self.objective)
        return self.engines[engine].batch(*common, **beside)


@pytest.mark.parametrize("name", EPISODES)
def test_every_objective_has_the_gradient_that_torch_takes(name):
    """Away from the policy that collected, too: the second gradient is taken where the first step led."""
    wants_expert = catalogue.algorithm(name).objective.wants_expert
    task = catalogue.task("umbrella/10" if wants_expert else "gym/CartPole-v1", time_limit=None if wants_expert else 60)
    definition = catalogue.algorithm_on(task, name)
    objective = definition.configure({}, task).objective
    both = Engines(task, objective)
    batches = {engine: both.batch(engine) for engine in ("torch", "compiled")}
    start = both.parameters.clone()
    for step in range(2):
        found = {engine: batch.gradient(objective) for engine, batch in batches.items()}
        expected, slope = found["torch"][0], found["compiled"][0]
        largest = expected.abs().amax(1, keepdim=True)
        assert ((slope - expected).abs() <= 1e-4 * largest + 1e-7).all()
        for column, value in found["torch"][1].items():
            assert torch.allclose(found["compiled"][1][column], value, rtol=1e-4, atol=1e-5), column
        both.parameters.sub_(0.05 * expected / (largest + 1e-12))
        assert step > 0 or not torch.equal(start, both.parameters)


@pytest.mark.parametrize("task", ["gym/CartPole-v1", "gym/Pendulum-v1", "random-walk/20"])
@pytest.mark.parametrize("normalised", [False, True])
def test_probe_sets_are_judged_as_torch_judges_them_alone_or_in_company(task: str, normalised: bool) -> None:
    made = catalogue.task(task)
    both = Engines(made, catalogue.algorithm_on(made, "reinforce").configure({}, made).objective, seeds=3)
    probes = probe_set(made)
    assert probes is not None
    statistics = np.stack([np.full((3, both.network.inputs), 0.1), np.full((3, both.network.inputs), 0.5)], 1)
    shown_by = statistics if normalised else None
    judged = {
        name: engine.policies(both.parameters, shown_by).log_probs(probes) for name, engine in both.engines.items()
    }
    assert judged["compiled"].shape == (3, len(probes.actions))
    assert judged["compiled"] == pytest.approx(judged["torch"], abs=2e-5)
    other = both.engines["torch"].policies(both.parameters, None if normalised else statistics).log_probs(probes)
    assert np.abs(other - judged["torch"]).max() > 1e-2
    alone = both.engines["compiled"].policies(both.parameters[1:2], None if shown_by is None else shown_by[1:2])
    assert alone.log_probs(probes).tobytes() == judged["compiled"][1].tobytes()


@pytest.mark.parametrize("task", ["gym/CartPole-v1", "gym/Pendulum-v1", "random-walk/20"])
def test_log_probabilities_are_those_of_torch(task):
    made = catalogue.task(task)
    both = Engines(made, catalogue.algorithm("reinforce").objective())
    theirs, mine = (both.batch(engine)._batch for engine in ("torch", "compiled"))
    assert torch.allclose(mine.behaviour_log_probs, theirs.behaviour_log_probs, rtol=1e-6, atol=1e-6)
    assert torch.allclose(mine.reference_log_probs, theirs.reference_log_probs, rtol=1e-6, atol=1e-6)
    assert torch.equal(mine.mask, theirs.mask)
    assert torch.equal(mine.returns, theirs.returns)


ALONE = [
    ("haepo-listwise", "gym/CartPole-v1", {"hidden": [64, 64], "epochs": 2}),
    ("reinforce", "gym/CartPole-v1", {"hidden": [33], "epochs": 1, "max_gradient_norm": 0.5}),
    ("haepo-listwise", "gym/Acrobot-v1", {"epochs": 1, "trajectories": 4}),
    ("haepo-listwise", "gym/MountainCar-v0", {"epochs": 1, "trajectories": 4}),
    ("reinforce", "gym/Pendulum-v1", {"epochs": 2, "reference": 2, "trajectories": 4}),
    ("dpo", "random-walk/20", {"epochs": 2}),
    ("grpo", "bandit/contextual", {"hidden": []}),
    ("soup", "corridor/8", {"hidden": [256, 32]}),
    ("hybrid-dpo-stand-in", "deep-sea/6", {"epochs": 2}),
]


@pytest.mark.parametrize(("name", "task", "settings"), ALONE, ids=[" ".join(case[:2]) for case in ALONE])
def test_a_seed_trains_to_the_same_bytes_alone_and_among_others(name, task, settings):
    budget = 6000 if "Acrobot" in task else 1200
    together = train(name, task, [0, 1, 2, 7], budget, "compiled", **settings)
    for some in ([2], [7, 0]):
        for seed, trained in train(name, task, some, budget, "compiled", **settings).items():
            assert trained.result.status == "done"
            assert trained.result.cost["gradient_steps"] > 0
            assert trained.policy == together[seed].policy
            assert without_clocks(trained.result) == without_clocks(together[seed].result)
    assert len({str(trained.policy) for trained in together.values()}) == len(together)


@pytest.mark.parametrize("engine", ["torch", "compiled"])
def test_training_learns_on_both_engines(engine):
    """Two seeds from 20 steps of CartPole to over 100; both engines with the same random numbers."""
    found = train("reinforce", "gym/CartPole-v1", [0, 1], 20_000, engine, trajectories=8, learning_rate=3e-3)
    for trained in found.values():
        returns = trained.result.curve["eval_return"]
        assert returns[0] < 60
        assert returns[-1] > 100


def test_a_seed_that_diverges_leaves_and_changes_no_other(monkeypatch):
    step = CompiledAdam.step

    def poisoned(self, gradient, rows=None):
        if len(gradient) == 3 and self._steps[1] == 1:
            gradient[1, 5] = float("nan")
        step(self, gradient, rows)

    clean = train("reinforce", "gym/CartPole-v1", [0, 1, 2], 2000, "compiled")
    monkeypatch.setattr(CompiledAdam, "step", poisoned)
    found = train("reinforce", "gym/CartPole-v1", [0, 1, 2], 2000, "compiled")
    assert [found[seed].result.status for seed in range(3)] == ["done", "diverged", "done"]
    for seed in (0, 2):
        assert found[seed].policy == clean[seed].policy


@pytest.mark.parametrize("name", sorted(ARRAY_ENVIRONMENTS))
def test_episodes_are_those_of_the_arrays_environment(name):
    """The same policy and the same streams: as long as they agree to the last action, returns agree to 1e-9."""
    task = catalogue.task(f"gym/{name}")
    both = Engines(task, catalogue.algorithm("reinforce").objective(), trajectories=3)
    engine = both.engines["compiled"]
    actor = engine.actor(both.parameters)
    purposes = ("environment", "action noise")
    mine = engine.collector(task, task.vector(3), 3)
    assert isinstance(mine, CompiledCollector)
    theirs = both.engines["torch"].collector(task, task.vector(3), 3)
    found = [
        collector.collect(actor, *([stream(p, seed) for seed in range(2)] for p in purposes))
        for collector in (mine, theirs)
    ]
    assert found[0].lengths.tolist() == found[1].lengths.tolist()
    assert found[0].returns == pytest.approx(found[1].returns, rel=1e-9)
    steps = int(found[1].lengths.max())
    taken = found[1].mask
    assert torch.equal(found[0].mask[..., :steps], taken)
    assert torch.equal(found[0].rewards[..., :steps][taken] != 0, found[1].rewards[taken] != 0)
    greedy = np.array([False, True, False])
    played = [
        collector.play(actor, *([stream(p, seed) for seed in range(2)] for p in purposes), greedy=greedy)
        for collector in (mine, theirs)
    ]
    assert played[0].lengths.tolist() == played[1].lengths.tolist()
    assert played[0].returns == pytest.approx(played[1].returns, rel=1e-9)
    for seed in range(2):
        shown = [rollout.observations[seed][..., :steps][:, taken[seed]] for rollout in found]
        assert torch.allclose(*shown, atol=1e-5)


def test_what_it_cannot_do_goes_to_torch():
    task = catalogue.task("gym/CartPole-v1")

    def engines(name: str, device: str = "cpu", **settings: object) -> tuple[str, ...]:
        return catalogue.algorithm_on(task, name).configure(settings, task).engines(task, device)

    assert engines("reinforce") == ("torch", "compiled")
    assert engines("reinforce", "cuda") == ("torch",)
    assert engines("reinforce", hidden=[257]) == ("torch",)
    assert engines("reinforce", hidden=[8] * 9) == ("torch",)
    assert engines("ppo") == ("torch",)
    assert engines("ppo-batched") == ("torch", "compiled")
    assert engines("ppo-batched", net_arch=[300]) == ("torch",)
