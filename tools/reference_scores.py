"""Do the reference returns of the tasks hold? Measures the random policy anew and compares.

    python tools/reference_scores.py [ADDRESS ...] [--episodes 10000] [--seed 0]

Plays the uniformly random policy (uniform over the actions, or over the box of continuous ones) and prints, task by
task, the stored return of the random policy, the measured one with its standard error, their distance z in standard
errors, and the solved return with its source. Ends with 1 where z lies beyond +-4.5: for a stored value that is right
that happens once in 150,000 tasks.

The standard error is that of the mean, and no less than one episode's difference between random and solved, divided by
the number of episodes: a reward too rare to be seen in so many episodes is not a sign of a wrong reference.
"""

import argparse
import sys
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from haepo_bench import catalogue
from haepo_bench.errors import UserError
from haepo_bench.results.record import References
from haepo_bench.tasks.base import Array, Task

TASKS = (
    "bandit/10-arm",
    "bandit/1000-arm",
    "bandit/deceptive",
    "bandit/contextual",
    "bandit/pi-squared",
    "random-walk/20",
    "random-walk/100",
    "random-walk/500",
    "corridor/equal",
    "corridor/8",
    "corridor/64",
    "corridor/512",
    "deep-sea/4",
    "deep-sea/10",
    "multi-goal/4",
    "key-door/5",
    "umbrella/10",
    "umbrella/50",
    "t-maze/10",
    "gym/CartPole-v1",
    "gym/Acrobot-v1",
    "gym/MountainCar-v0",
    "gym/Pendulum-v1",
    "gym/MountainCarContinuous-v0",
    "gym/FrozenLake-v1",
)
LARGEST_Z = 4.5
#: Episodes side by side; of environments that gymnasium steps one after the other, each is kept in memory.
TOGETHER = 1000


class Measurement(NamedTuple):
    """Of one task's random policy.

    Args:
        mean: return.
        error: standard error of the mean.
        z: (stored - mean) / error.
    """

    mean: float
    error: float
    z: float


def random_returns(task: Task, episodes: int, seed: int) -> Array:
    """Returns [episode] of the uniformly random policy."""
    found = []
    for block in range(0, episodes, TOGETHER):
        environment_stream, action_stream = (np.random.default_rng((seed, block, part)) for part in (0, 1))
        vector = task.vector(min(TOGETHER, episodes - block))
        live = np.ones(vector.reset([environment_stream]).shape[:2], bool)
        total = np.zeros(live.shape)
        for _ in range(task.horizon):
            step = vector.step(random_actions(task, live.shape, action_stream), live)
            total += np.where(live, step.rewards, 0.0)
            live &= ~(step.terminated | step.truncated)
            if not live.any():
                break
        vector.close()
        found.append(total[0])
    return np.concatenate(found)


def random_actions(task: Task, shape: tuple[int, ...], stream: np.random.Generator) -> Array:
    space = task.action_space
    if isinstance(space, spaces.Discrete):
        return stream.integers(space.n, size=shape)
    return stream.uniform(space.low, space.high, (*shape, *space.shape)).astype(np.float32)


def measure(task: Task, references: References, episodes: int, seed: int) -> Measurement:
    returns = random_returns(task, episodes, seed)
    mean = float(returns.mean())
    unseen = abs(references.solved - references.random) / episodes
    error = max(float(returns.std(ddof=1)) / episodes**0.5, unseen)
    return Measurement(mean, error, (references.random - mean) / error)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="ADDRESS", help="tasks to check (default: all of the catalogue's)")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.episodes < 2 or options.seed < 0:
        parser.error("--episodes must be at least 2, --seed at least 0")
    wrong = []
    print("| task | random, stored | measured +- standard error | z | solved | source |\n|---|---|---|---|---|---|")
    for address in options.tasks or TASKS:
        try:
            task = catalogue.task(address)
        except UserError as problem:
            parser.error(str(problem))
        if task.references is None:
            parser.error(f"{address} has no reference returns to check")
        mean, error, z = measure(task, task.references, options.episodes, options.seed)
        stored, solved, source = task.references.random, task.references.solved, task.references.source
        print(
            f"| {address} | {stored:.6g} | {mean:.6g} +- {error:.2g} | {z:+.2f} | {solved:.6g} | {source} |", flush=True
        )
        if abs(z) > LARGEST_Z:
            wrong.append(address)
    if wrong:
        print(f"\noff by more than {LARGEST_Z} standard errors: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
