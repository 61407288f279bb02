"""Seeds of several configurations as rows of one batch: a run's bytes are those of its configuration trained alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from haepo_bench import catalogue
from haepo_bench.engine.library import status
from haepo_bench.objectives.base import EntropyBonus, ObjectiveOutput, TrajectoryBatch, centre, hyper
from haepo_bench.results.columns import CLOCK_COLUMNS
from haepo_bench.training.adam import Adam, clip_gradient
from haepo_bench.training.algorithm import Algorithm, BatchRow
from haepo_bench.training.episodes.algorithm import NativeAlgorithm
from haepo_bench.training.recorder import Recorder, SeedResult
from haepo_bench.training.settings import TrainerSettings

ENGINES = ["torch", *(["compiled"] if status().library is not None else [])]
#: What a row may have of its own beside what its loss has.
EPISODES: dict[str, list[Any]] = {"learning_rate": [1e-3, 3e-3, 1e-2], "max_gradient_norm": [None, 0.3, 2.0]}
SEGMENTS: dict[str, list[Any]] = {
    "learning_rate": [1e-4, 1e-3],
    "learning_rate_schedule": ["constant", "linear"],
    "max_grad_norm": [0.1, 0.5],
    "target_kl": [None, 0.003],
    "gae_lambda": [0.8, 0.95],
    "ent_coef": [0.0, 0.01],
    "clip_range": [0.1, 0.2],
}
SEGMENT = {"n_envs": 2, "n_epochs": 2, "net_arch": [8]}
SMALL = {"hidden": [8], "trajectories": 4, "epochs": 2}


class Kept:
    """Checkpoints in memory, kept once after two iterations."""

    def __init__(self, kept: dict[int, bytes] | None = None) -> None:
        self.kept, self._left = dict(kept or {}), 2

    def due(self) -> bool:
        self._left -= 1
        return self._left == 0

    def write(self, seeds: Sequence[int], state: Callable[[int], bytes]) -> None:
        self.kept |= {seed: state(seed) for seed in seeds}

    def read(self, seed: int) -> bytes | None:
        return self.kept.get(seed)

    def put_aside(self, seed: int) -> str:
        raise AssertionError(f"the checkpoint of {seed} is refused")


def trained(
    task: str, rows: list[BatchRow], *, budget: int, checkpoints: Kept | None = None
) -> tuple[dict[int, SeedResult], dict[int, Any], dict[int, str]]:
    """Results, policies and failures by key."""
    results: dict[int, SeedResult] = {}
    policies: dict[int, Any] = {}
    failures: dict[int, str] = {}
    recorder = Recorder(
        [row.key for row in rows],
        budget=budget,
        every=budget // 2,
        episodes=2,
        on_finished=lambda result: results.__setitem__(result.seed, result),
        on_failed=lambda key, error: failures.__setitem__(key, str(error)),
        on_policy=lambda key, policy: policies.__setitem__(key, {name: a.tobytes() for name, a in policy.items()}),
        checkpoints=checkpoints,
    )
    rows[0].algorithm.train_rows(catalogue.task(task), rows, recorder, device="cpu")
    return results, policies, failures


def timeless(result: SeedResult) -> tuple[Any, ...]:
    """All of a result but its key and its clocks: every number, and the order of the columns."""
    curve = [(name, column) for name, column in result.curve.items() if name not in CLOCK_COLUMNS]
    counts = {name: value for name, value in result.cost.items() if "seconds" not in name and "bytes" not in name}
    return result.status, result.reason, repr(curve), repr(result.final), counts


def drawn(name: str, task: str, engine: str, generator: np.random.Generator, fixed: dict[str, Any]) -> Algorithm:
    definition, free = catalogue.algorithm(name), SEGMENTS if name == "ppo-batched" else EPISODES
    own = {key: values[generator.integers(len(values))] for key, values in free.items()}
    for described in definition.describe_parameters():
        if described.name in {"entropy_coefficient", "kl_coefficient", "beta", "temperature"}:
            own[described.name] = float(described.default) * float(generator.uniform(0.5, 1.5))
    algorithm = definition.configure({**fixed, **own}, catalogue.task(task))
    algorithm.engine = engine  # type: ignore[assignment]  # a name of one
    return algorithm


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "task", "budget", "fixed"),
    [
        ("haepo-weighted", "random-walk/20", 600, {**SMALL, "return_normalisation": "centre"}),
        ("grpo", "gym/CartPole-v1", 400, SMALL),
        ("qrpo", "bandit/10-arm", 60, {**SMALL, "reference_episodes": 5, "reference": 2}),
        ("soup", "random-walk/20", 500, SMALL),
        ("aps", "random-walk/20", 700, SMALL),
        ("ppo-batched", "gym/CartPole-v1", 400, {**SEGMENT, "n_steps": 32, "batch_size": 32}),
        ("ppo-batched", "random-walk/20", 200, {**SEGMENT, "n_steps": 16, "batch_size": 16}),
    ],
)  # fmt: skip
def test_a_run_has_the_bytes_that_it_has_alone(
    name: str, task: str, budget: int, fixed: dict[str, Any], engine: str
) -> None:
    generator = np.random.default_rng(len(name) + budget)
    configurations = [drawn(name, task, engine, generator, fixed) for _ in range(4)]
    assert len({repr(algorithm.shape) for algorithm in configurations}) == 1
    # As a job has them: seeds that several configurations share, in any order.
    pairs = sorted({(int(generator.integers(4)), int(generator.integers(3))) for _ in range(9)}, key=hash)
    rows = [BatchRow(key, seed, configurations[which]) for key, (which, seed) in enumerate(pairs)]
    results, policies, failures = trained(task, rows, budget=budget)
    assert not failures
    for which, algorithm in enumerate(configurations):
        own = [row for row in rows if row.algorithm is algorithm]
        if not own:
            continue
        alone, kept, _ = trained(task, [BatchRow(row.seed, row.seed, algorithm) for row in own], budget=budget)
        for row in own:
            assert timeless(results[row.key]) == timeless(alone[row.seed]), (which, row.seed)
            assert policies[row.key] == kept[row.seed]


def test_objectives_that_ask_for_more_have_it_in_a_mixture_too() -> None:
    """GenPO's weights of compression: a mixture asks for the doubled actions that each of its rows needs."""
    definition, task = catalogue.algorithm("genpo"), "gym/Pendulum-v1"
    fixed = {"n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 2}
    configurations = [
        definition.configure({**fixed, "compression_coef": weight}, catalogue.task(task)) for weight in (0.0, 0.5)
    ]
    rows = [BatchRow(key, 3, algorithm) for key, algorithm in enumerate(configurations)]
    results, policies, failures = trained(task, rows, budget=64)
    assert not failures
    assert policies[0] != policies[1]
    for row in rows:
        alone, kept, _ = trained(task, [BatchRow(row.seed, row.seed, row.algorithm)], budget=64)
        assert timeless(results[row.key]) == timeless(alone[row.seed])
        assert policies[row.key] == kept[row.seed]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["grpo", "ppo-batched"])
def test_a_row_goes_on_from_its_checkpoint_alone(name: str, engine: str) -> None:
    task, generator = "gym/CartPole-v1", np.random.default_rng(3)
    fixed = {**SEGMENT, "n_steps": 16, "batch_size": 16} if name == "ppo-batched" else SMALL
    configurations = [drawn(name, task, engine, generator, fixed) for _ in range(3)]
    rows = [BatchRow(10 + key, key % 2, algorithm) for key, algorithm in enumerate(configurations)]
    kept = Kept()
    results, _, _ = trained(task, rows, budget=300, checkpoints=kept)
    assert set(kept.kept) == {10, 11, 12}
    for row in rows:
        again = Kept({row.seed: kept.kept[row.key]})
        alone, _, _ = trained(task, [BatchRow(row.seed, row.seed, row.algorithm)], budget=300, checkpoints=again)
        assert alone[row.seed].provenance["resumed"][0]["iteration"] == 2
        assert timeless(alone[row.seed]) == timeless(results[row.key])


class Fragile(EntropyBonus):
    """Cannot be computed for one value, and diverges with another."""

    weight: float = hyper(1.0, "made up")

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        if self.weight > 2.5:
            raise ValueError(f"a weight of {self.weight}")
        advantages = centre(batch.returns, batch.dtype) * (torch.nan if self.weight > 1.5 else self.weight)
        loss = -(advantages * batch.masked_sum(batch.log_probs)).mean((-1, -2))
        return self.finish(loss, batch, {"weighed": loss} if self.weight > 0.5 else {})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_configuration_that_diverges_or_fails_touches_no_other(engine: str) -> None:
    task, settings = "random-walk/20", TrainerSettings(hidden=(8,), trajectories=4, epochs=2)
    made = [NativeAlgorithm(Fragile(weight=weight), settings) for weight in (0.25, 1.0, 2.0, 3.0)]
    for algorithm in made:
        algorithm.engine = engine  # type: ignore[assignment]  # a name of one
    rows = [BatchRow(10 + key, key // 4, made[key % 4]) for key in range(8)]
    results, _, failures = trained(task, rows, budget=200)
    assert failures == {13: "a weight of 3.0", 17: "a weight of 3.0"}
    for algorithm in made[:3]:
        alone, _, _ = trained(task, [BatchRow(seed, seed, algorithm) for seed in (0, 1)], budget=200)
        for row in rows:
            if row.algorithm is algorithm:
                assert timeless(results[row.key]) == timeless(alone[row.seed])
    assert {results[key].status for key in (12, 16)} == {"diverged"}


def test_adam_with_a_learning_rate_for_each_row_is_adam_row_by_row() -> None:
    made = torch.Generator().manual_seed(0)
    start = torch.randn(5, 96, generator=made)
    rates = [10.0 ** -(1 + row) for row in range(5)]
    together, alone = start.clone(), [start[row : row + 1].clone() for row in range(5)]
    adam, apart = Adam(together, rates, 1e-5), [Adam(own, rate, 1e-5) for own, rate in zip(alone, rates, strict=True)]
    for _ in range(4):
        gradient = torch.randn(5, 96, generator=made)
        limits: list[float | None] = [None, 0.5, 5.0, 100.0, None]
        pieces = [gradient[row : row + 1].clone() for row in range(5)]
        norms = clip_gradient(gradient, limits)
        for row, (one, own, limit) in enumerate(zip(apart, pieces, limits, strict=True)):
            assert torch.equal(clip_gradient(own, limit), norms[row : row + 1])
            assert torch.equal(own, gradient[row : row + 1])
            one.step(own)
        adam.step(gradient)
        assert torch.equal(together, torch.cat(alone))
    adam.keep([1, 3], together[[1, 3]])
    assert adam.learning_rate == [rates[1], rates[3]]
