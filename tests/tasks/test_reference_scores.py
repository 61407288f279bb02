"""Reference returns: of tasks against exact calculations and fresh measurements, and the program that checks them."""

import gymnasium
import numpy as np
import pytest
from benchmark_scripts import load

from haepo_bench import catalogue
from haepo_bench.results.record import References

scores = load("reference_scores")


def frozen_lake_returns() -> tuple[float, float, np.ndarray]:
    """Expected returns of uniform and of best actions over 100 steps, and the best ones [step, state]."""
    table = gymnasium.make("FrozenLake-v1").unwrapped.P
    uniform, best, choices = np.zeros(16), np.zeros(16), []
    for _ in range(100):
        after_uniform, after_best = (
            [[sum(p * (r + (not end) * v[s]) for p, s, r, end in table[state][a]) for a in range(4)] for state in table]
            for v in (uniform, best)
        )
        uniform, best = np.mean(after_uniform, 1), np.max(after_best, 1)
        choices.append(np.argmax(after_best, 1))
    return float(uniform[0]), float(best[0]), np.array(choices[::-1])


def test_frozen_lake():
    task = catalogue.task("gym/FrozenLake-v1")
    random, solved, choices = frozen_lake_returns()
    assert task.horizon == 100
    assert (task.references.random, task.references.solved) == pytest.approx((random, solved), abs=5e-6)
    # The oracle, within 4.5 standard errors: with other streams one in 150,000 would fail.
    vector = task.vector(400)
    observations = vector.reset([np.random.default_rng(0)])
    live, total = np.ones((1, 400), bool), np.zeros((1, 400))
    for t in range(100):
        step = vector.step(choices[t][observations.argmax(-1)], live)
        total += np.where(live, step.rewards, 0)
        live = live & ~(step.terminated | step.truncated)
        observations = step.observations
    vector.close()
    assert total.mean() == pytest.approx(solved, abs=4.5 * total.std() / 20)


@pytest.mark.parametrize("address", scores.TASKS)
def test_every_task_that_is_checked_has_references(address):
    references = catalogue.task(address).references
    assert references.solved > references.random
    assert references.source


def test_the_programs_random_policy(capsys):
    """Against the known returns, with other streams than the stored ones were measured with."""
    tasks = ["bandit/contextual", "random-walk/20", "gym/CartPole-v1", "gym/Pendulum-v1"]
    assert scores.main([*tasks, "--episodes", "1500", "--seed", "1"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "+-" in line][1:]
    assert [row[0].removeprefix("| ") for row in rows] == tasks
    for row, stored, spread in zip(rows, ("0.6", "0.118744", "22.2", "-1228.9"), (2.6, 0.14, 12, 290), strict=True):
        mean, error = map(float, row[2].split(" +- "))
        assert row[1] == stored
        assert error == pytest.approx(spread / 1500**0.5, rel=0.25)
        assert float(row[3]) == pytest.approx((float(stored) - mean) / error, abs=0.1)


def test_a_wrong_reference_is_found(monkeypatch, capsys):
    task = catalogue.task("bandit/pi-squared")
    task.references = References(random=0.6, solved=1.0, source="wrong")  # in truth 0.55; deviation 0.3
    monkeypatch.setattr(catalogue, "task", lambda address: task)
    assert scores.main(["bandit/pi-squared", "--episodes", "4000"]) == 1
    assert "off by more than 4.5 standard errors: bandit/pi-squared" in capsys.readouterr().err
    assert scores.main(["bandit/pi-squared", "--episodes", "40"]) == 0  # too few to tell


def test_rewards_too_rare_to_be_seen_are_no_sign_of_a_wrong_reference():
    task = catalogue.task("gym/MountainCar-v0")  # -200 in every episode
    for random, far in ((-200.0, False), (-199.95, False), (-198.0, True)):
        references = References(random=random, solved=-110.0, source="test")
        found = scores.measure(task, references, 500, 0)
        assert found.mean == -200
        assert found.error == pytest.approx(90 / 500, rel=0.03)
        assert (abs(found.z) > scores.LARGEST_Z) == far


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bandit/10-arms"], "did you mean 'bandit/10-arm'"),
        (["gym/CartPole-v0"], "no reference returns"),
        (["--episodes", "1"], "at least 2"),
    ],
)
def test_what_cannot_be_checked(arguments, says, capsys):
    with pytest.raises(SystemExit) as stopped:
        scores.main(arguments)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err
