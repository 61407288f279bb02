"""Does HAEPO's weighted variant do on `bandit/pi-squared` what theory predicts? Prediction against measurement.

    python studies/predictions.py [--seeds 5] [--updates 300] [--trajectories 4096] [--out FILE.png]

Theory: haepo_bench/tasks/bandit/pi_squared.py. `haepo-weighted` and `reinforce` are run without entropy and KL terms,
one gradient step per batch. Three comparisons, the last two from three starting policies each:

Gradient. The objectives' own gradient by the logits, on batches sampled from random policies, against the closed form:
distances in standard errors (found from many batches each), which for a right prediction have standard deviation 1.

Plain ascent. Steps along that gradient, returns as they are, without an optimiser: what theory speaks of. Sampled
batches against the closed form.

Training. The real training loop, with its Adam, against the same recursion with the closed form in place of the
sampled gradient: same network (logits only, no hidden layers), same initial parameters, same optimiser. So nothing but
sampling lies between the two.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haepo_bench import catalogue
from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.tasks.bandit.pi_squared import ARMS, Prediction, reinforce, weighted_reading
from haepo_bench.training.adam import Adam
from haepo_bench.training.episodes.trainer import EpisodeTrainer
from haepo_bench.training.recorder import Recorder, SeedResult
from haepo_bench.training.settings import TrainerSettings

Array = NDArray[Any]
Start = tuple[float, ...]
ADDRESS = "bandit/pi-squared"
REWARDS = np.array(ARMS)
PREDICTIONS: dict[str, Callable[[Array], Prediction]] = {"haepo-weighted": weighted_reading, "reinforce": reinforce}
STARTS: tuple[Start, ...] = ((0.25, 0.25, 0.25, 0.25), (0.6, 0.25, 0.1, 0.05), (0.85, 0.1, 0.04, 0.01))
LEARNING_RATE = 0.01
#: Step size of plain ascent: small enough that time is the number of updates times it.
STEP = 0.5
#: Random policies and batches of each, for the comparison of gradients.
POLICIES, BATCHES = 40, 64


class Gradients(NamedTuple):
    """[policy, arm] each: predicted, mean over batches, standard error of that mean."""

    predicted: Array
    measured: Array
    errors: Array


class Curves(NamedTuple):
    """Expected return of each policy, [seed, update]: by theory, and by sampled batches."""

    predicted: Array
    measured: Array


def plain(name: str, **parameters: Any) -> Objective:
    """The objective without entropy and KL terms."""
    definition: Any = catalogue.algorithm(name)
    objective: Objective = definition.objective(entropy_coefficient=0.0, kl_coefficient=0.0, **parameters)
    return objective


def standardised(predict: Callable[[Array], Prediction], policy: Array) -> Array:
    """The predicted gradient by the logits for standardised returns."""
    deviation = np.sqrt(policy @ REWARDS**2 - (policy @ REWARDS) ** 2)
    gradient: Array = predict(policy).gradient / deviation
    return gradient


def sampled_gradients(objective: Objective, policies: Array, pulls: int, rng: np.random.Generator) -> Array:
    """The objective's gradient by the logits, [seed, arm], on one batch of each policy [seed, arm]."""
    arms = np.stack([rng.choice(len(policy), p=policy, size=(1, pulls)) for policy in policies])
    logits = torch.log(torch.from_numpy(policies)).requires_grad_()
    taken = torch.log_softmax(logits, -1).gather(1, torch.from_numpy(arms[:, 0]))[:, None, :, None]
    rewards = torch.from_numpy(REWARDS[arms])
    still = torch.zeros_like(taken)
    batch = TrajectoryBatch(
        log_probs=taken, entropy=still, kl_to_reference=still, behaviour_log_probs=taken.detach(),
        reference_log_probs=taken.detach(), mask=torch.ones_like(taken, dtype=torch.bool), rewards=rewards[..., None],
        returns=rewards, horizon=1,
    )  # fmt: skip
    (gradient,) = torch.autograd.grad(-objective(batch).loss.sum(), logits)
    found: Array = gradient.numpy()
    return found


def compare_gradients(name: str, pulls: int) -> Gradients:
    rng = np.random.default_rng(0)
    predicted, means, errors = [], [], []
    for _ in range(POLICIES):
        policy = rng.dirichlet(np.ones(len(ARMS)))
        found = sampled_gradients(plain(name), np.tile(policy, (BATCHES, 1)), pulls, rng)
        predicted.append(standardised(PREDICTIONS[name], policy))
        means.append(found.mean(0))
        errors.append(found.std(0, ddof=1) / BATCHES**0.5)
    return Gradients(np.array(predicted), np.array(means), np.array(errors))


def compare_ascent(name: str, start: Start, seeds: int, updates: int, pulls: int) -> Curves:
    objective, rng = plain(name, return_normalisation="none"), np.random.default_rng(1)
    by_theory, by_batches = (np.log(np.tile(start, (n, 1))) for n in (1, seeds))
    predicted, measured = [], []
    for _ in range(updates):
        exact, sampled = softmax(by_theory), softmax(by_batches)
        predicted.append(exact @ REWARDS)
        measured.append(sampled @ REWARDS)
        by_theory = by_theory + STEP * PREDICTIONS[name](exact[0]).gradient
        by_batches = by_batches + STEP * sampled_gradients(objective, sampled, pulls, rng)
    return Curves(np.array(predicted).T, np.array(measured).T)


def compare_training(name: str, start: Start, seeds: int, updates: int, pulls: int) -> Curves:
    task = catalogue.task(ADDRESS)
    settings = TrainerSettings(trajectories=pulls, epochs=1, learning_rate=LEARNING_RATE, hidden=())
    results: list[SeedResult] = []
    recorder = Recorder(range(seeds), budget=updates * pulls, every=pulls, episodes=1, on_finished=results.append)
    trainer = EpisodeTrainer(task, plain(name), settings, range(seeds), recorder, "cpu")
    # Parameters are a weight an arm, a bias an arm, padding; the observation is always 1.
    trainer.parameters[:, len(ARMS) : 2 * len(ARMS)] = torch.log(torch.tensor(start))
    predicted = predict(name, trainer, updates)
    trainer.train()
    results.sort(key=lambda result: result.seed)
    # The last mark repeats the one before: no update lies between them.
    return Curves(predicted, np.array([result.curve["train_return"][:-1] for result in results], float))


def predict(name: str, trainer: EpisodeTrainer, updates: int) -> Array:
    """Expected return of each policy, [seed, update], if every batch had infinitely many pulls."""
    parameters = trainer.parameters.clone()
    optimiser = Adam(parameters, LEARNING_RATE)
    ones = torch.ones(len(parameters), 1, 1)
    expected = []
    for _ in range(updates):
        folded = trainer.network.fold(parameters)
        logits, inputs = trainer.network.forward(folded, ones)
        policies = torch.softmax(logits[:, :, 0].double(), 1).numpy()
        expected.append(policies @ REWARDS)
        ascent = np.stack([standardised(PREDICTIONS[name], policy) for policy in policies])
        descent = torch.from_numpy(-ascent.astype(np.float32))[:, :, None]
        optimiser.step(trainer.network.backward(folded, inputs, descent))
    return np.array(expected).T


COMPARISONS = {"Plain ascent": compare_ascent, "Training": compare_training}


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    found: Array = exponentials / exponentials.sum(-1, keepdims=True)
    return found


def reaching(curves: Array) -> str:
    """Mean over seeds of the first update with an expected return of at least 0.7: only the best arm pays as much."""
    reached = curves >= 0.7
    return f"{reached.argmax(1).mean():.0f}" if reached.any(1).all() else f"more than {curves.shape[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--trajectories", type=int, default=4096, help="pulls a batch")
    parser.add_argument("--out", type=Path, help="picture, PNG")
    options = parser.parse_args()
    if options.seeds < 2 or options.updates < 2 or options.trajectories < 2:
        parser.error("--seeds, --updates and --trajectories must be at least 2")
    torch.set_num_threads(1)
    gradients = {name: compare_gradients(name, options.trajectories) for name in PREDICTIONS}
    print(f"Gradient: {POLICIES} random policies, {BATCHES} batches of {options.trajectories} pulls each\n")
    print("| algorithm | largest component | largest distance | distances in standard errors: sd | largest |")
    print("|---|---|---|---|---|")
    for name, (predicted, measured, errors) in gradients.items():
        z = (measured - predicted) / errors
        print(
            f"| {name} | {np.abs(predicted).max():.3f} | {np.abs(measured - predicted).max():.2g} | {z.std():.2f} "
            f"| {np.abs(z).max():.2f} |"
        )
    curves: dict[tuple[str, Start, str], Curves] = {}
    for kind, compare in COMPARISONS.items():
        print(f"\n{kind}: {options.seeds} seeds, {options.updates} updates on {options.trajectories} pulls each\n")
        print(
            "| start | algorithm | updates to return .7: predicted, measured | final: predicted, measured | rms error |"
        )
        print("|---|---|---|---|---|")
        for start in STARTS:
            for name in PREDICTIONS:
                found = compare(name, start, options.seeds, options.updates, options.trajectories)
                curves[kind, start, name] = found
                error = float(np.sqrt(np.mean((found.measured - found.predicted) ** 2)))
                print(
                    f"| {' '.join(map(str, start))} | {name} | {reaching(found.predicted)}, {reaching(found.measured)} "
                    f"| {found.predicted[:, -1].mean():.3f}, {found.measured[:, -1].mean():.3f} | {error:.4f} |",
                    flush=True,
                )
    if options.out:
        draw(gradients, curves, options.out)


def draw(gradients: dict[str, Gradients], curves: dict[tuple[str, Start, str], Curves], out: Path) -> None:
    figure = Figure(figsize=(4 * (1 + len(STARTS)), 7), layout="constrained")
    axes = figure.subplots(len(COMPARISONS), 1 + len(STARTS))
    colours = dict(zip(PREDICTIONS, ("C0", "C1"), strict=True))
    for axis, (name, (predicted, measured, errors)) in zip(axes[:, 0], gradients.items(), strict=True):
        axis.errorbar(predicted.ravel(), measured.ravel(), 2 * errors.ravel(), fmt=".", color=colours[name], lw=1)
        axis.axline((0, 0), slope=1, color="grey", lw=0.8, zorder=0)
        axis.set(title=f"gradient of {name}", xlabel="predicted", ylabel="measured, 2 standard errors")
    for row, kind in zip(axes, COMPARISONS, strict=True):
        for axis, start in zip(row[1:], STARTS, strict=True):
            for name, colour in colours.items():
                predicted, measured = curves[kind, start, name]
                updates = range(measured.shape[1])
                axis.fill_between(updates, measured.min(0), measured.max(0), color=colour, alpha=0.35, lw=0, label=name)
                axis.plot(predicted.mean(0), "--", color=colour, lw=1.2)
            axis.set(title=f"{kind} from {start}", xlabel="updates", ylabel="expected return", ylim=(0.15, 1.02))
        row[1].plot([], [], "k--", lw=1.2, label="dashed: predicted")
    axes[0, 1].legend(loc="lower right", title="bands: range of seeds")
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    main()
