"""The control `uniform`: what it plays against exact references, and that nothing of it ever changes."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from gymnasium import spaces
from language_support import small_tiny_model
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import UserError
from haepo_bench.results.claims import CONTROLS, default_baselines, default_claims
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.finite.tabular import Tabular
from haepo_bench.training.episodes.uniform_trainer import UniformBox


@pytest.mark.parametrize(("address", "budget"), [("key-door/5", 4_000), ("multi-goal/4", 2_000)])
def test_it_covers_and_succeeds_as_the_exact_uniform_policy_does(address: str, budget: int) -> None:
    """Within 4 standard errors, six means in all: a false alarm in 1 of 2,600."""
    task = catalogue.task(address)
    assert isinstance(task, Tabular)
    results = train("uniform", task, list(range(64)), budget, budget).values()
    exact = task.forward.value
    # Returns are 0 or 1, and an evaluation has 5 episodes of the sampled and 5 of the greedy policy, both uniform.
    error = np.sqrt(exact * (1 - exact) / (5 * 64))
    for name in ("eval_return", "eval_return_greedy"):
        assert abs(np.mean([float(result.final[name] or 0) for result in results]) - exact) < 4 * error
    coverage = np.array([result.curve["relative_coverage"][-1] for result in results], float)
    assert abs(coverage.mean() - 1) < 4 * coverage.std(ddof=1) / 8


def test_nothing_is_learnt_and_nothing_says_so() -> None:
    (result,) = train("uniform", "random-walk/20", [0], 2_000, 500).values()
    assert result.status == "done"
    assert set(result.curve["gradient_steps"]) == {0}
    assert result.curve["reward_alignment"] == [None] * 5
    assert "loss" not in result.curve


def test_seeds_are_alike_alone_and_among_others() -> None:
    for address in ("gym/Pendulum-v1", "deep-sea/4"):
        together = train("uniform", address, [3, 4, 5], 1_000, 500)
        (alone,) = train("uniform", address, [4], 1_000, 500).values()
        assert without_clocks(alone) == without_clocks(together[4])


def test_continuous_actions_are_uniform_within_their_bounds() -> None:
    """Kolmogorov-Smirnov at 20,000 draws: false alarm 1 in 10,000 (critical value 2.225 / sqrt(n))."""
    low, high = np.array([-3.0, 1.0], np.float32), np.array([-1.0, 1.5], np.float32)
    head = UniformBox(spaces.Box(low, high, (2,), np.float32))
    noise = torch.from_numpy(head.noise(np.random.default_rng(0), 1, 20_000)).transpose(0, 1)[:, 0][None]
    actions = head.sample(torch.zeros(1, 4, 20_000), noise, None).numpy()[0]
    for drawn, least, most in zip(actions.T, low, high, strict=True):
        assert least <= drawn.min()
        assert drawn.max() <= most
        place = np.sort((drawn - least) / (most - least))
        assert np.abs(place - (np.arange(20_000) + 0.5) / 20_000).max() < 2.225 / np.sqrt(20_000)


def test_bounds_that_single_precision_cannot_subtract() -> None:
    most = np.full(1, 3e38, np.float32)
    head = UniformBox(spaces.Box(-most, most, (1,), np.float32))
    assert torch.isfinite(head.sample(torch.zeros(1, 2, 9), torch.linspace(0, 0.999, 9)[None, :, None], None)).all()


class Unbounded(Task):
    """Continuous actions without bounds."""

    id, version, summary, horizon = "unbounded/1", 1, "no bounds", 1
    observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def vector(self, trajectories: int) -> None:  # type: ignore[override]  # never asked
        raise NotImplementedError


def test_what_it_refuses() -> None:
    definition = catalogue.algorithm("uniform")
    assert "finite bounds" in str(definition.refuses(Unbounded()))
    assert definition.refuses(catalogue.task("gym/Pendulum-v1")) is None
    with pytest.raises(UserError, match="no parameter 'epochs'"):
        definition.configure({"epochs": 4}, catalogue.task("corridor/8"))
    with pytest.raises(UserError, match="no learning_rate: it never learns"):
        definition.configure({"learning_rate": 1e-3}, catalogue.task("lm/arithmetic"))


def test_a_control_is_no_baseline_unless_named() -> None:
    uses = {"haepo-weighted": "haepo-weighted", "floor": "uniform", "grpo": "grpo"}
    assert {"uniform"} == CONTROLS
    assert default_baselines(uses, ["haepo-weighted"]) == ["grpo"]
    claims = default_claims(uses)
    assert claims is not None
    assert claims.baselines == ["grpo"]
    assert default_claims({"haepo-weighted": "haepo-weighted", "uniform": "uniform"}) is None


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small_tiny_model(tmp_path_factory.mktemp("cache")):
        yield


@pytest.mark.usefixtures("cache")
def test_on_language_tasks_it_is_the_start_unchanged() -> None:
    own = {"prompts": 4, "completions": 4, "fine_tuning_steps": 0}
    (result,) = train("uniform", "lm/arithmetic", [0], 300, 100, **own).values()
    assert result.status == "done", result.reason
    assert result.curve["env_steps"] == [0, 100, 200, 300]
    assert set(result.curve["gradient_steps"]) == {0}
    greedy = result.curve["eval_return_greedy"]
    assert len(set(greedy)) == 1  # the same prompts are evaluated by the same policy
    assert all(
        abs(float(value)) < 1e-6 for name in result.curve if name.startswith("kl") for value in result.curve[name]
    )  # type: ignore[arg-type]
