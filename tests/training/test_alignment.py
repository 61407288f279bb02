"""reward_alignment: Kendall's tau against scipy, and the column against a calculation with plain torch."""

import numpy as np
import pytest
from scipy import stats
from training_support import train

from haepo_bench import catalogue
from haepo_bench.statistics.association import kendall_tau_b
from haepo_bench.tasks import probes as probes_module
from haepo_bench.tasks.probes import ProbeSet, probe_file, probe_set
from haepo_bench.training.alignment import RewardAlignment


def test_kendall_tau_b_is_scipys():
    rng = np.random.default_rng(0)
    for n in (2, 5, 40):
        for levels in (2, 4, 1000):  # many ties to none
            x, y = rng.integers(levels, size=(2, n)).astype(float)
            expected = stats.kendalltau(x, y).statistic
            assert kendall_tau_b(x, y) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert np.isnan(kendall_tau_b([1.0, np.nan], [1.0, 2.0]))


@pytest.fixture
def arms(tmp_path, monkeypatch):
    """The ten arms as a probe set of one-step trajectories, each with its arm's mean as return."""
    task = catalogue.task("bandit/10-arm")
    monkeypatch.setattr(probes_module, "FOLDER", tmp_path)
    np.savez(
        probe_file(task),
        observations=np.ones((10, 1), np.float32),
        actions=np.arange(10),
        lengths=np.ones(10, int),
        returns=task.means.ravel(),
    )
    return task


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [("reinforce", {}), ("ppo-batched", {"n_envs": 8, "n_steps": 32}), ("ppo", {"n_envs": 8, "n_steps": 32})],
)
def test_learning_the_bandit_aligns_with_it(arms, name, settings):
    (result,) = train(name, arms, [0], 6_144, 1_024, **settings).values()
    alignment = result.curve["reward_alignment"]
    assert alignment[0] is None  # the policy is the initial one
    assert all(-1 <= value <= 1 for value in alignment[1:])
    assert alignment[-1] > 0.3
    assert result.curve["train_return"][-1] > 0.5


def test_alignment_is_a_seeds_own(arms):
    together = train("reinforce", arms, [0, 1, 2], 800, 200)
    assert together[2].curve["reward_alignment"] == train("reinforce", arms, [2], 800, 200)[2].curve["reward_alignment"]


def test_trajectories_are_summed_and_divided_by_their_length():
    class Fixed(RewardAlignment):
        def __init__(self, probes: ProbeSet, initial: np.ndarray) -> None:
            self._probes, self._initial = probes, dict(zip((4, 7), initial, strict=True))

    probes = ProbeSet(np.zeros((6, 1), np.float32), np.zeros(6, int), np.array([1, 2, 3]), np.array([3.0, 2.0, 1.0]))
    alignment = Fixed(probes, np.zeros((2, 6)))
    # Means of the change: 1, 2, 3 for the first seed, 3, 2, 1 for the second; sums would be 1, 4, 9 and 3, 4, 3.
    now = np.array([[1, 2, 2, 3, 3, 3], [3, 2, 2, 1, 1, 1]], float)
    assert [c["reward_alignment"] for c in alignment.columns([4, 7], lambda _: now)] == [-1.0, 1.0]
    assert alignment.columns([7], lambda _: now[1:]) == [{"reward_alignment": 1.0}]


def test_a_task_without_a_file_has_no_probe_set(tmp_path, monkeypatch):
    monkeypatch.setattr(probes_module, "FOLDER", tmp_path)
    assert probe_set(catalogue.task("bandit/10-arm")) is None
    assert "reward_alignment" not in train("reinforce", "bandit/10-arm", [0], 50, 50)[0].curve
