"""Makes the frozen trajectories that `reward_alignment` is measured on (haepo_bench/tasks/probes.py).

    python tools/probe_sets.py [ADDRESS ...] [--out FOLDER]

A set holds TRAJECTORIES episodes of one task version, spread evenly over the range of its returns. They are drawn from
a pool of episodes of policies from bad to good: the uniformly random one, REINFORCE in the course of its training, and
for finite tasks the optimal one with more and more random actions. Returns are taken without reward noise. A task whose
returns hardly differ gets no set, nor does one whose set would be large. Sets are files in the package: make one again
only with a new version of its task.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from gymnasium import spaces

from haepo_bench import catalogue
from haepo_bench.objectives.reinforce import Reinforce
from haepo_bench.tasks.base import Array, Task
from haepo_bench.tasks.finite.tabular import Tabular
from haepo_bench.tasks.probes import FOLDER, ProbeSet, probe_file
from haepo_bench.training.episodes.rollout import action_bounds, clip_actions
from haepo_bench.training.episodes.trainer import EpisodeTrainer
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import stream

TASKS = (
    "bandit/10-arm", "bandit/1000-arm", "bandit/deceptive", "bandit/contextual", "bandit/pi-squared",
    "random-walk/20", "random-walk/100", "corridor/equal", "corridor/8", "corridor/16", "corridor/32", "corridor/64",
    "corridor/128", "deep-sea/4", "deep-sea/6", "deep-sea/8", "deep-sea/10", "deep-sea/12", "deep-sea/14",
    "multi-goal/4", "key-door/5", "umbrella/10", "umbrella/30", "t-maze/10",
    "gym/CartPole-v1", "gym/Acrobot-v1", "gym/MountainCar-v0", "gym/Pendulum-v1", "gym/FrozenLake-v1",
)  # fmt: skip
TRAJECTORIES = 32
#: Episodes of each policy in the pool.
EPISODES = 64
#: Batches of 16 episodes that REINFORCE is trained with, and after how many of them its policy is taken.
ITERATIONS, SNAPSHOT = 120, 10
#: Share of random actions of the optimal policy's spoilt versions.
SPOILT = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
#: Numbers that a set's observations may hold.
LARGEST = 2_000_000

#: (observations [episode, feature], states or None, time) to actions [episode, ...].
Behaviour = Callable[[Array, Array | None, int], Array]


def play(task: Task, behaviour: Behaviour, key: int) -> list[tuple[Array, Array, float]]:
    """EPISODES episodes as (observations [step, feature], actions [step, ...], return)."""
    environment = task.vector(EPISODES)
    current = environment.reset([stream("environment", key)])
    live = np.ones((1, EPISODES), bool)
    seen: list[list[Array]] = [[] for _ in range(EPISODES)]
    done: list[list[Array]] = [[] for _ in range(EPISODES)]
    returns = np.zeros(EPISODES)
    for t in range(task.horizon):
        states = environment.visited()
        states = None if states is None else states.copy()  # before they are left
        actions = behaviour(current[0], None if states is None else states[0], t)[None]
        for k in np.flatnonzero(live[0]):
            seen[k].append(current[0, k].copy())
            done[k].append(actions[0, k].copy())
        step = environment.step(actions, live)
        rewards = step.rewards
        if isinstance(task, Tabular) and states is not None:
            rewards = task.reward[states, actions]
        returns += np.where(live, rewards, 0.0)[0]
        live = live & ~(step.terminated | step.truncated)
        current = step.observations
        if not live.any():
            break
    # Where pulls are noisy the arm's expectation is the true return; contexts have their own best arm.
    regret = environment.measures().get("regret")
    if regret is not None:
        returns = -regret[0]
    environment.close()
    return [(np.stack(o), np.stack(a), float(r)) for o, a, r in zip(seen, done, returns, strict=True)]


def uniform(task: Task) -> Behaviour:
    rng = np.random.default_rng(1)
    space = task.action_space
    if isinstance(space, spaces.Discrete):
        return lambda observations, states, t: rng.integers(space.n, size=len(observations))
    return lambda observations, states, t: rng.uniform(space.low, space.high, (len(observations), *space.shape)).astype(
        np.float32
    )


def spoilt_optimum(task: Tabular, share: float) -> Behaviour:
    rng, best = np.random.default_rng(2), task.optimal_policy()

    def act(observations: Array, states: Array | None, t: int) -> Array:
        random = rng.integers(task.action_space.n, size=len(observations))
        return np.where(rng.random(len(observations)) < share, random, best[t, states])

    return act


def learners(task: Task) -> list[Behaviour]:
    """REINFORCE's policies in the course of a training run."""
    recorder = Recorder([0], budget=2**31, every=2**31, episodes=1)
    settings = TrainerSettings(learning_rate=3e-3, trajectories=16)
    trainer = EpisodeTrainer(task, Reinforce(), settings, [0], recorder, "cpu")
    behaviours = []
    for iteration in range(ITERATIONS):
        trainer.update(trainer.collect(iteration), iteration)
        if iteration % SNAPSHOT == SNAPSHOT - 1:
            behaviours.append(sampled(trainer))
    trainer.close()
    return behaviours


def sampled(trainer: EpisodeTrainer) -> Behaviour:
    folded, head, noise = trainer.network.fold(trainer.parameters.clone()), trainer.head, stream("action noise", 3)

    def act(observations: Array, states: Array | None, t: int) -> Array:
        rows = torch.from_numpy(observations).T[None].contiguous()
        drawn = torch.from_numpy(head.noise(noise, len(observations), 1)).squeeze(1)[None]
        bounds = action_bounds(trainer.task)
        return clip_actions(head.sample(trainer.network.outputs(folded, rows), drawn, None)[0].numpy(), bounds)

    return act


def spread(pool: list[tuple[Array, Array, float]]) -> list[tuple[Array, Array, float]]:
    """TRAJECTORIES of a pool, as evenly over the range of their returns as it allows."""
    rng = np.random.default_rng(4)
    returns = np.array([r for _, _, r in pool])
    left, chosen = list(rng.permutation(len(pool))), []
    for level in np.linspace(returns.min(), returns.max(), TRAJECTORIES):
        nearest = left[int(np.abs(returns[left] - level).argmin())]
        left.remove(nearest)
        chosen.append(pool[nearest])
    return chosen


def make(task: Task) -> ProbeSet | None:
    behaviours = [uniform(task), *learners(task)]
    if isinstance(task, Tabular):
        behaviours += [spoilt_optimum(task, share) for share in SPOILT]
    pool = [episode for key, behaviour in enumerate(behaviours) for episode in play(task, behaviour, key)]
    chosen = spread(pool)
    observations = np.concatenate([o for o, _, _ in chosen])
    returns = np.array([r for _, _, r in chosen])
    if len(np.unique(returns.round(9))) < 2 or observations.size > LARGEST:
        return None
    actions, lengths = np.concatenate([a for _, a, _ in chosen]), np.array([len(o) for o, _, _ in chosen])
    return ProbeSet(observations, actions, lengths, returns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=TASKS, metavar="ADDRESS")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("| task | returns | steps | kB |\n|---|---|---|---|")
    for address in arguments.tasks:
        task = catalogue.task(address)
        probes = make(task)
        if probes is None:
            print(f"| `{address}` | no set: returns do not differ, or it would be large | | |", flush=True)
            continue
        file = arguments.out / probe_file(task).name
        # Whole numbers, such as one-hot observations, in one byte each.
        compact = probes.observations.astype(np.int8)
        exact = bool((compact == probes.observations).all())
        np.savez_compressed(
            file,
            observations=compact if exact else probes.observations,
            actions=probes.actions,
            lengths=probes.lengths,
            returns=probes.returns,
        )
        span = f"{probes.returns.min():.4g} to {probes.returns.max():.4g}"
        print(f"| `{address}` | {span} | {probes.lengths.sum()} | {file.stat().st_size / 1000:.0f} |", flush=True)


if __name__ == "__main__":
    main()
