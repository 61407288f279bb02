"""Measures reference returns of MiniGrid's DoorKey and KeyCorridor: the uniform policy's, and the optimum by search.

    python tools/minigrid_references.py [--episodes 10000] [--layouts 2000] [IDS ...]

Random is the mean return of uniformly random episodes, each in a layout of its own. Solved is the mean over layouts of
the return of the shortest plan, by breadth-first search over (cell, direction, what is in hand, where the key was
dropped, doors that are open); the search assumes MiniGrid's rules, and the first plans are played in the environment
itself. Needs the extra `minigrid`.
"""

import argparse
from collections import deque
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from haepo_bench.tasks.environments import minigrid

IDS = (
    *(f"MiniGrid-DoorKey-{size}x{size}-v0" for size in (5, 6, 8)),
    *(f"MiniGrid-KeyCorridorS3R{rows}-v0" for rows in (1, 2, 3)),
)
#: Actions of MiniGrid.
LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE = range(6)
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


class State(NamedTuple):
    """What a plan changes.

    Args:
        key: where the key is; None while it is in hand.
        doors: those that are open.
        done: whether the goal was reached, or the ball picked up.
    """

    x: int
    y: int
    direction: int
    key: tuple[int, int] | None
    doors: frozenset[tuple[int, int]]
    done: bool = False


def shortest_plan(environment: Any) -> list[int]:
    """Actions to the goal, or to the ball in hand, by breadth-first search."""
    grid = environment.grid
    cells = ((x, y) for x in range(grid.width) for y in range(grid.height))
    things = {cell: thing for cell in cells if (thing := grid.get(*cell))}
    (key,) = (cell for cell, thing in things.items() if thing.type == "key")
    start = State(*map(int, environment.agent_pos), int(environment.agent_dir), key, frozenset())
    before: dict[State, tuple[State, int] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        if state.done:
            plan = []
            while (step := before[state]) is not None:
                state, action = step
                plan.append(action)
            return plan[::-1]
        for action, following in reached(state, things):
            if following not in before:
                before[following] = state, action
                waiting.append(following)
    raise SystemExit("a layout without a plan")


def reached(state: State, things: dict[tuple[int, int], Any]) -> list[tuple[int, State]]:
    """What each action that changes anything leads to."""
    ahead = state.x + AHEAD[state.direction][0], state.y + AHEAD[state.direction][1]
    kind = things[ahead].type if ahead in things else ""
    if kind == "key":
        kind = ""  # where it was at first; where it is now the state knows
    if ahead == state.key:
        kind = "key"
    found = [
        (LEFT, state._replace(direction=(state.direction - 1) % 4)),
        (RIGHT, state._replace(direction=(state.direction + 1) % 4)),
    ]
    if kind in ("", "goal") or ahead in state.doors:
        found.append((FORWARD, state._replace(x=ahead[0], y=ahead[1], done=kind == "goal")))
    if kind == "key":
        found.append((PICK_UP, state._replace(key=None)))
    if kind == "ball" and state.key is not None:
        found.append((PICK_UP, state._replace(done=True)))
    if kind == "" and state.key is None:
        found.append((DROP, state._replace(key=ahead)))
    # Closing a door again is never on a shortest plan.
    if kind == "door" and ahead not in state.doors and (state.key is None or not things[ahead].is_locked):
        found.append((TOGGLE, state._replace(doors=state.doors | {ahead})))
    return found


if __name__ == "__main__":
    main()
