"""Do the log-ratios of a policy trained on whole trajectories say which of its actions mattered?

    python studies/credit.py [--budget N] [--seeds N] [--out FILE.png]

In a task with certain moves the optimum of return minus beta times the KL to the initial policy satisfies

    beta log pi*(a|s) / ref(a|s) = r(s, a) + V*(s') - V*(s)          ("From r to Q*", arXiv 2404.12358)

so the left side, of a policy trained by reward-distillation on raw returns, is compared with the right side, which soft
dynamic programming finds from the task's tables: step by step along one optimal and one uniformly random trajectory.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from haepo_bench import catalogue
from haepo_bench.policies.mlp import Network
from haepo_bench.tasks.base import Array
from haepo_bench.tasks.finite.tabular import Tabular
from haepo_bench.training.heads import make_head
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import stream

#: Task, and beta in units of its return.
TASKS = {"deep-sea/6": 0.1, "corridor/16": 0.05}


def log_policy(named: dict[str, Array], observations: Array) -> Array:
    """Log-probabilities [state, action] of a policy's named arrays at observations [state, feature]."""
    x = observations.astype(float)
    layers = sum(name.startswith("weight") for name in named)
    for number in range(layers):
        x = x @ named[f"weight_{number}"].T + named[f"bias_{number}"]
        x = np.tanh(x) if number < layers - 1 else x
    return x - np.logaddexp.reduce(x, 1, keepdims=True)


def soft_advantages(task: Tabular, log_reference: Array, beta: float) -> Array:
    """r + V*(s') - V*(s): [time, state, action], by soft dynamic programming."""
    value, found = np.zeros(len(task.terminal)), []
    for _ in range(task.horizon):
        q = task.reward + value[task.next_state]
        value = beta * np.logaddexp.reduce(log_reference + q / beta, 1)
        value[task.terminal] = 0.0
        found.append(q - value[:, None])
    return np.stack(found[::-1])


def trajectory(task: Tabular, actions: Array) -> list[tuple[int, int, int]]:
    """(time, state, action) of each step; `actions`: [time, state]."""
    state, steps = int(task.start.argmax()), []
    for time in range(task.horizon):
        action = int(actions[time, state])
        steps.append((time, state, action))
        state = int(task.next_state[state, action])
        if task.terminal[state]:
            break
    return steps


def trained(address: str, beta: float, budget: int, seeds: int) -> tuple[Tabular, list[dict[str, Array]]]:
    """The task and the final policies."""
    task = catalogue.task(address)
    assert isinstance(task, Tabular)
    settings = {"beta": beta, "return_normalisation": "none", "entropy_coefficient": 0.0, "trajectories": 32}
    policies: dict[int, dict[str, Array]] = {}

    def keep(seed: int, named: Mapping[str, Array]) -> None:
        policies[seed] = dict(named)

    recorder = Recorder(range(seeds), budget=budget, every=budget, episodes=1, on_policy=keep)
    algorithm = catalogue.algorithm("reward-distillation").configure(settings, task)
    algorithm.train(task, range(seeds), recorder, device="cpu")
    return task, [policies[seed] for seed in range(seeds)]


def main() -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("docs/images/credit.png"))
    arguments = parser.parse_args()
    figure, axes = plt.subplots(len(TASKS), 2, figsize=(9, 5.5), layout="constrained", squeeze=False)
    for row, (address, beta) in zip(axes, TASKS.items(), strict=True):
        task, policies = trained(address, beta, arguments.budget, arguments.seeds)
        network = Network(task.observation_space.shape[0], TrainerSettings().hidden, make_head(task))
        random = np.random.default_rng(0).integers(task.action_space.n, size=(task.horizon, len(task.terminal)))
        chosen = {"optimal": task.optimal_policy(), "random": random}
        for axis, (kind, actions) in zip(row, chosen.items(), strict=True):
            steps = trajectory(task, actions)
            learned, exact = [], []
            for seed, named in enumerate(policies):
                initial = network.named(torch.from_numpy(network.initial(stream("initialisation", seed))))
                reference = log_policy(initial, task.observations)
                ratios = beta * (log_policy(named, task.observations) - reference)
                advantages = soft_advantages(task, reference, beta)
                learned.append([ratios[state, action] for _, state, action in steps])
                exact.append([advantages[step] for step in steps])
            axis.plot(np.mean(exact, 0), "k_", markersize=14, label="exact: r + V*(s') - V*(s)")
            axis.plot(np.transpose(learned), "o", color="C0", alpha=0.5, markersize=4)
            axis.plot([], [], "o", color="C0", label=f"beta (log pi - log ref), {arguments.seeds} seeds")
            axis.axhline(0, color="0.8", zorder=0)
            axis.set(title=f"{address}, {kind} trajectory", xlabel="step", ylabel="credit (return)")
            error = np.abs(np.subtract(learned, exact)).mean()
            correlation = np.corrcoef(np.ravel(learned), np.ravel(exact))[0, 1]
            print(f"{address} {kind}: mean absolute error {error:.4f}, correlation {correlation:.3f}")
    axes[0, 0].legend(fontsize="small")
    figure.savefig(arguments.out, dpi=110)
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
