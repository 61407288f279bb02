"""Do the corridors and HAEPO's variants behave as theory predicts?

    python studies/corridor_predictions.py [--batches N] [--out FILE.png]

Episodes are played in the tasks' own environments and given to the objectives themselves; predictions are closed forms.

`corridor/equal`, batches of 8 episodes of an untrained (uniform) policy: the coefficient of an episode's summed
log-probability in the gradient ascended, - d loss / d L_k, added up over the episodes on each way. Whether an episode
takes the short way, the long way or the dead end is a throw of a die, so the expectation is a sum over all 45 outcomes
of a batch. With standardised returns R_k and weights w = softmax(L), q = softmax(R):

    weighted    w_k (R_k - sum_j w_j R_j)        listwise    q_k - w_k        REINFORCE    R_k / 8

`corridor/<horizon>`, a policy that is right with probability p at each position: the effective sample size of the
weights, as a fraction of the batch. For endless batches it is ((p^2 + q^2)^2 / (p^3 + q^3))^horizon with q = 1 - p,
because sum w^2 = E[pi^2] / (M E[pi]^2); for batches of 8 its mean is taken over 100,000 batches of binomial counts.
"""

import argparse
import math
from itertools import product
from pathlib import Path

import numpy as np
import torch

from haepo_bench import catalogue
from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.objectives.haepo import HaepoListwise, HaepoWeighted
from haepo_bench.objectives.reinforce import Reinforce
from haepo_bench.tasks.base import Array
from haepo_bench.tasks.finite.corridor import LONG, SHORT
from haepo_bench.tasks.finite.tabular import Tabular

BATCH = 8
WAYS = ("short", "long", "dead end")
PAID = np.array([1.0, 1.0, 0.0])
OBJECTIVES: dict[str, type[Objective]] = {
    "haepo-weighted": HaepoWeighted,
    "haepo-listwise": HaepoListwise,
    "reinforce": Reinforce,
}
HORIZONS = (8, 16, 32, 64, 128)
SKILLS = (0.6, 0.75, 0.9)


def play(task: Tabular, log_probs: Array, batches: int, key: int) -> tuple[TrajectoryBatch, Array]:
    """`batches` batches (as seeds) of a policy with log-probabilities [state, action]; where each episode ended."""
    rng = np.random.default_rng(key)
    environment = task.vector(BATCH)
    environment.reset([np.random.default_rng([key, row]) for row in range(batches)])
    live = np.ones((batches, BATCH), bool)
    cumulative = np.exp(log_probs).cumsum(1)
    taken, masks, rewards = [], [], []
    while live.any():
        state = environment.visited()
        assert state is not None
        state = state.copy()
        actions = (cumulative[state][..., :-1] <= rng.random((batches, BATCH))[..., None]).sum(-1)
        step = environment.step(actions, live)
        taken.append(log_probs[state, actions])
        masks.append(live)
        rewards.append(np.where(live, step.rewards, 0.0))
        live = live & ~(step.terminated | step.truncated)
    ends = environment.visited()
    assert ends is not None
    mask = torch.from_numpy(np.stack(masks, -1))[:, None]
    paid = torch.from_numpy(np.stack(rewards, -1))[:, None]
    values = torch.from_numpy(np.stack(taken, -1))[:, None].clone().requires_grad_()
    fixed = values.detach()
    batch = TrajectoryBatch(
        log_probs=values,
        entropy=torch.zeros_like(fixed),
        kl_to_reference=torch.zeros_like(fixed),
        behaviour_log_probs=fixed,
        reference_log_probs=fixed,
        mask=mask,
        rewards=paid,
        returns=paid.sum(-1),
        horizon=task.horizon,
    )
    return batch, ends.copy()


def coefficients(name: str, batch: TrajectoryBatch) -> Array:
    """- d loss / d L_k of every episode [batch, episode]: the gradient at its first step, which all its steps share."""
    loss = OBJECTIVES[name](entropy_coefficient=0, kl_coefficient=0)(batch).loss.sum()
    (gradient,) = torch.autograd.grad(loss, batch.log_probs)
    return -gradient[:, 0, :, 0].numpy()


def predicted_equal(name: str) -> Array:
    """[way] expected sum of the coefficients of a batch's episodes on each way."""
    lengths = np.array([SHORT, LONG, SHORT])
    total = np.zeros(3)
    for counts in product(range(BATCH + 1), repeat=3):
        if sum(counts) != BATCH:
            continue
        probability = math.factorial(BATCH) / math.prod(map(math.factorial, counts)) / 3**BATCH
        way = np.repeat(np.arange(3), counts)
        returns = PAID[way] - PAID[way].mean()
        returns = returns / returns.std() if returns.any() else returns
        weights = np.exp(-math.log(3) * (lengths[way] - lengths[way].min()))
        weights /= weights.sum()
        targets = np.exp(returns) / np.exp(returns).sum()
        each = {
            "haepo-weighted": weights * (returns - weights @ returns),
            "haepo-listwise": targets - weights,
            "reinforce": returns / BATCH,
        }[name]
        total += probability * np.bincount(way, each, minlength=3)
    return total


def measured_equal(name: str, batches: int) -> tuple[Array, Array]:
    """([way] mean sum of coefficients, its standard error) of real batches."""
    task = catalogue.task("corridor/equal")
    assert isinstance(task, Tabular)
    batch, ends = play(task, np.full((task.states or 0, 3), -math.log(3)), batches, key=1)
    own, way = coefficients(name, batch), ends - ends.min()
    sums = np.stack([np.where(way == i, own, 0.0).sum(1) for i in range(3)], 1)
    return sums.mean(0), sums.std(0, ddof=1) / math.sqrt(batches)


def endless(p: float, horizon: int) -> float:
    q = 1 - p
    return float(((p**2 + q**2) ** 2 / (p**3 + q**3)) ** horizon)


def of_eight(p: float, horizon: int) -> float:
    right = np.random.default_rng(2).binomial(horizon, p, size=(100_000, BATCH))
    score = right * math.log(p / (1 - p))
    weights = np.exp(score - score.max(1, keepdims=True))
    return float((weights.sum(1) ** 2 / (weights**2).sum(1)).mean() / BATCH)


def measured_straight(p: float, horizon: int, batches: int) -> tuple[float, float]:
    """Mean effective sample size that the weighted variant reports of real batches, and its standard error."""
    task = catalogue.task(f"corridor/{horizon}")
    assert isinstance(task, Tabular)
    right = (task.reward > 0).argmax(1)
    log_probs = np.full((task.states or 0, 2), math.log(1 - p))
    log_probs[np.arange(len(right)), right] = math.log(p)
    batch, _ = play(task, log_probs, batches, key=3)
    sizes = HaepoWeighted()(batch).diagnostics["effective_sample_size"].detach().numpy()
    return float(sizes.mean()), float(sizes.std(ddof=1) / math.sqrt(batches))


def draw(file: Path, equal: dict[str, tuple[Array, Array, Array]], sizes: dict[float, list[float]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for number, (name, (prediction, mean, error)) in enumerate(equal.items()):
        places = np.arange(3) + 0.25 * (number - 1)
        bars = left.bar(places, prediction, 0.22, alpha=0.5, label=f"{name}: predicted")
        left.errorbar(places, mean, 4 * error, fmt="o", color=bars[0].get_facecolor(), mec="black", ms=5)
    lengths = (SHORT, LONG, SHORT)
    labels = [f"{w}\n({n} steps, pays {paid:.0f})" for w, n, paid in zip(WAYS, lengths, PAID, strict=True)]
    left.set_xticks(range(3), labels)
    left.axhline(0, color="black", lw=0.8)
    left.set_ylabel("expected coefficient of the way (ascent on L)")
    left.set_title("corridor/equal, untrained policy; points: measured")
    left.legend(fontsize=8)
    for p, measured in sizes.items():
        (line,) = right.plot(HORIZONS, [of_eight(p, h) for h in HORIZONS], label=f"p = {p}, batches of 8")
        right.plot(HORIZONS, [endless(p, h) for h in HORIZONS], ":", color=line.get_color(), label="endless batches")
        right.plot(HORIZONS, measured, "o", color=line.get_color(), mec="black")
    right.axhline(1 / BATCH, color="grey", lw=0.8)
    right.set(
        xscale="log",
        yscale="log",
        xlabel="horizon (steps)",
        ylabel="effective sample size (fraction)",
        ylim=(1e-3, 1.2),
    )
    right.set_xticks(HORIZONS, map(str, HORIZONS))
    right.set_title("corridor/<horizon>; points: measured; grey: 1 of 8")
    right.legend(fontsize=8)
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=4000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| corridor/equal | way | predicted | measured | z |\n|---|---|---|---|---|")
    equal, largest = {}, 0.0
    for name in OBJECTIVES:
        prediction = predicted_equal(name)
        mean, error = measured_equal(name, arguments.batches)
        equal[name] = prediction, mean, error
        for way, a, b, e in zip(WAYS, prediction, mean, error, strict=True):
            z = (b - a) / e if e > 0 else 0.0
            largest = max(largest, abs(z))
            print(f"| `{name}` | {way} | {a:+.4f} | {b:+.4f} | {z:+.1f} |")
    print(
        "\n| horizon | p | effective sample size, endless | of 8, predicted | measured | z |\n|---|---|---|---|---|---|"
    )
    sizes: dict[float, list[float]] = {}
    for p, horizon in product(SKILLS, HORIZONS):
        mean_size, size_error = measured_straight(p, horizon, arguments.batches)
        z = (mean_size - of_eight(p, horizon)) / size_error
        largest = max(largest, abs(z))
        sizes.setdefault(p, []).append(mean_size)
        row = f"{endless(p, horizon):.3g} | {of_eight(p, horizon):.4f} | {mean_size:.4f} | {z:+.1f}"
        print(f"| {horizon} | {p} | {row} |")
    print(f"\nlargest |z|: {largest:.1f}, of {3 * len(OBJECTIVES) + len(SKILLS) * len(HORIZONS)} comparisons")
    if arguments.out:
        draw(arguments.out, equal, sizes)


if __name__ == "__main__":
    main()
