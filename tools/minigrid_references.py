"""Measures the reference returns of MiniGrid's DoorKey environments: the uniform policy's, and the optimum by search.

    python tools/minigrid_references.py [--episodes 10000] [--layouts 2000] [IDS ...]

Random is the mean return of uniformly random episodes, each in a layout of its own. Solved is the mean over layouts of
the return of the shortest plan, by breadth-first search over (cell, direction, key in hand, door open); the search
assumes DoorKey's rules and the first plans are played in the environment itself. Needs the extra `minigrid`.
"""

import argparse
from collections import deque
from typing import Any

import gymnasium
import numpy as np

from haepo_bench.tasks.environments import minigrid

IDS = tuple(f"MiniGrid-DoorKey-{size}x{size}-v0" for size in (5, 6, 8))
#: Actions of MiniGrid.
LEFT, RIGHT, FORWARD, PICK_UP, TOGGLE = 0, 1, 2, 3, 5
#: Cell ahead, by direction: right, down, left, up.
AHEAD = ((1, 0), (0, 1), (-1, 0), (0, -1))
#: Layouts whose plan is also played.
PLAYED = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", default=IDS)
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--layouts", type=int, default=2_000)
    options = parser.parse_args()
    minigrid.load()
    for name in options.ids:
        environment: Any = gymnasium.make(name, disable_env_checker=True).unwrapped
        solved = np.array([plan_return(environment, seed, play=seed < PLAYED) for seed in range(options.layouts)])
        random = random_returns(environment, options.episodes)
        print(
            f"{name}: random {random.mean():.5f} (standard error {random.std() / len(random) ** 0.5:.5f}, "
            f"{(random > 0).mean():.4f} of episodes succeed), solved {solved.mean():.5f} "
            f"(standard error {solved.std() / len(solved) ** 0.5:.5f}), at most {environment.max_steps} steps",
            flush=True,
        )


def random_returns(environment: Any, episodes: int, first: int = 1_000_000) -> np.ndarray:
    """[episode] returns of uniformly random actions; observations, which nobody looks at, are not made.

    Args:
        first: seed of the first layout.
    """
    rng = np.random.default_rng(0)
    environment.gen_obs = dict
    returns = np.zeros(episodes)
    for episode in range(episodes):
        environment.reset(seed=first + episode)
        for action in rng.integers(environment.action_space.n, size=environment.max_steps).tolist():
            _, reward, terminated, truncated, _ = environment.step(action)
            if terminated or truncated:
                returns[episode] = reward
                break
    return returns


def plan_return(environment: Any, seed: int, *, play: bool) -> float:
    """Return of the shortest plan in the layout of a seed."""
    environment.reset(seed=seed)
    plan = shortest_plan(environment)
    expected = 1 - 0.9 * len(plan) / environment.max_steps
    if play:
        reward = 0.0
        for action in plan:
            _, reward, terminated, _, _ = environment.step(action)
        if not terminated or abs(reward - expected) > 1e-9:
            raise SystemExit(f"seed {seed}: the plan gives {reward}, not {expected}")
    return expected


def shortest_plan(environment: Any) -> list[int]:
    """Actions to the goal, by breadth-first search."""
    grid = environment.grid
    cells = ((x, y) for x in range(grid.width) for y in range(grid.height))
    kinds = {cell: grid.get(*cell).type if grid.get(*cell) else "" for cell in cells}
    start = (*map(int, environment.agent_pos), int(environment.agent_dir), False, False)
    before: dict[tuple[Any, ...], tuple[tuple[Any, ...], int] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        x, y, direction, key, door = state
        if kinds[x, y] == "goal":
            plan = []
            while (step := before[state]) is not None:
                state, action = step
                plan.append(action)
            return plan[::-1]
        ahead = x + AHEAD[direction][0], y + AHEAD[direction][1]
        kind = kinds[ahead]
        reached = [(LEFT, (x, y, (direction - 1) % 4, key, door)), (RIGHT, (x, y, (direction + 1) % 4, key, door))]
        if kind in ("", "goal") or (kind == "key" and key) or (kind == "door" and door):
            reached.append((FORWARD, (*ahead, direction, key, door)))
        if kind == "key" and not key:
            reached.append((PICK_UP, (x, y, direction, True, door)))
        if kind == "door" and key and not door:
            reached.append((TOGGLE, (x, y, direction, key, True)))
        for action, following in reached:
            if following not in before:
                before[following] = state, action
                waiting.append(following)
    raise SystemExit("a layout without a plan")


if __name__ == "__main__":
    main()
