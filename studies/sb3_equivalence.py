"""Does `ppo` learn here what Stable-Baselines3 gets by itself, with normalised observations and rewards?

    python studies/sb3_equivalence.py [--task gym/Hopper-v5] [--seeds 5] [--budget STEPS] [--stored RESULTS/mujoco]
                                      [--workers N] [--out FILE.json]

Trains `ppo` here (or, with --stored, takes the runs of suites/mujoco.yaml, which are the same), with the task's key
`normalise`, and the same settings by a script as users of Stable-Baselines3 write one: make_vec_env, VecNormalize, PPO,
EvalCallback with a second VecNormalize that is frozen and leaves rewards alone. The script has seeds of its own, so
that the two samples are independent. Compared are the mean of the evaluations and the last one, both of the sampled
policy, as scores between the references of suites/mujoco.yaml.

The sentence is "no difference found" where the 95 % interval of the difference of means (Welch) holds zero; with few
seeds that is not "equal". Whether they are shown to be equal within +-0.10 of the score span says the test of
ppo_equivalence.py.
"""

import argparse
import json
import resource
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ppo_equivalence import MARGIN, equivalence
from scipy import stats
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from haepo_bench import catalogue
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store
from haepo_bench.suite.names import Names
from haepo_bench.suite.resolve import load_plan
from haepo_bench.tasks.base import Task
from haepo_bench.training.ppo_settings import PPOSettings
from haepo_bench.training.recorder import Recorder, SeedResult

MARKS, EPISODES, FIRST_OF_ITS_OWN = 10, 10, 1_000
MEASURES = ("mean of the curve", "last evaluation")
ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


def here(task: Task, seeds: range, budget: int) -> list[np.ndarray]:
    """Evaluated returns [point] of each seed, without the point before training."""
    found: list[SeedResult] = []
    recorder = Recorder(seeds, budget=budget, every=budget // MARKS, episodes=EPISODES, on_finished=found.append)
    catalogue.algorithm("ppo").configure({}, task).train(task, seeds, recorder, device="cpu")
    if any(result.status != "done" for result in found):
        raise SystemExit("a run diverged or failed")
    return [np.array(result.curve["eval_return"][1:], float) for result in found]


def stored(folder: Path, address: str, seeds: range, budget: int) -> list[np.ndarray]:
    """As `here`, of finished runs of the suite."""
    cells = [cell for cell in select(Store(folder)).cells if (cell.task, cell.algorithm) == (address, "ppo")]
    runs = {run.record.seed: run for cell in cells for run in cell.runs}
    curves = []
    for seed in seeds:
        run = runs.get(seed)
        marks = [] if run is None else run.curve["env_steps"]
        if run is None or run.record.status != "done" or marks[-1] != budget or len(marks) != MARKS + 1:
            raise SystemExit(f"{folder} has no finished run of ppo, seed {seed}, {MARKS} points in {budget:,} steps")
        curves.append(np.array(run.curve["eval_return"][1:], float))
    return curves


def by_itself(seed: int, name: str, settings: PPOSettings, budget: int) -> np.ndarray:
    """Evaluated returns [point] of one seed of Stable-Baselines3 alone."""
    torch.set_num_threads(1)
    training = VecNormalize(make_vec_env(name, n_envs=settings.n_envs, seed=seed), gamma=settings.gamma)
    evaluation = VecNormalize(
        make_vec_env(name, n_envs=1, seed=seed + 10_000), training=False, norm_reward=False, gamma=settings.gamma
    )
    if settings.learning_rate_schedule != "constant" or settings.clip_range_schedule != "constant" or settings.use_sde:
        raise SystemExit("the script knows constant schedules without state-dependent exploration alone")
    model = PPO(
        "MlpPolicy", training, seed=seed, device="cpu",
        learning_rate=settings.learning_rate, n_steps=settings.n_steps, batch_size=settings.batch_size,
        n_epochs=settings.n_epochs, gamma=settings.gamma, gae_lambda=settings.gae_lambda,
        clip_range=settings.clip_range, ent_coef=settings.ent_coef, vf_coef=settings.vf_coef,
        max_grad_norm=settings.max_grad_norm,
        policy_kwargs={
            "net_arch": list(settings.net_arch), "log_std_init": settings.log_std_init,
            "ortho_init": settings.ortho_init, "activation_fn": ACTIVATIONS[settings.activation],
        },
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        callback = EvalCallback(
            evaluation, n_eval_episodes=EPISODES, eval_freq=budget // MARKS // settings.n_envs, deterministic=False,
            log_path=folder, verbose=0,
        )  # fmt: skip
        model.learn(budget, callback=callback)
        kept = np.load(Path(folder) / "evaluations.npz")
        return np.asarray(kept["results"].mean(1)[:MARKS])


def suite_task(address: str) -> Task:
    """The task as suites/mujoco.yaml has it."""
    plan = load_plan(Path(__file__).parent.parent / "suites" / "mujoco.yaml")
    cell = next((cell for cell in plan.cells if cell.lookup.address == address), None)
    if cell is None:
        raise SystemExit(f"suites/mujoco.yaml has no task {address}")
    return Names(None).task(address, options=cell.options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="gym/Hopper-v5")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=300_000)
    parser.add_argument("--stored", type=Path, help="results of suites/mujoco.yaml with the runs of ppo")
    parser.add_argument("--workers", type=int, default=1, help="seeds of Stable-Baselines3 alone at a time")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("--seeds: a comparison needs at least 2")
    torch.set_num_threads(1)
    task, seeds = suite_task(arguments.task), range(arguments.seeds)
    references = task.references
    assert references is not None  # the suite says them
    settings: Any = catalogue.algorithm("ppo").configure({}, task)
    if arguments.stored is None:
        ours = here(task, seeds, arguments.budget)
    else:
        ours = stored(arguments.stored, arguments.task, seeds, arguments.budget)
    name = arguments.task.removeprefix("gym/")
    alone = partial(by_itself, name=name, settings=settings.settings, budget=arguments.budget)
    with ProcessPoolExecutor(arguments.workers, get_context("spawn")) as pool:
        theirs = list(pool.map(alone, [FIRST_OF_ITS_OWN + seed for seed in seeds]))
    found: dict[str, Any] = {}
    print(f"{arguments.task}, {arguments.budget:,} env steps per seed, {arguments.seeds} seeds each; scores\n")
    print("| measure | Stable-Baselines3 alone (sd) | `ppo` here (sd) | difference [95 % interval] | verdict |")
    print("|---|---|---|---|---|")
    for measure, value in zip(MEASURES, (np.mean, lambda curve: curve[-1]), strict=True):
        a, b = ([float(references.score(value(curve))) for curve in side] for side in (theirs, ours))
        interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
        both = equivalence(a, b)
        verdict = "no difference found" if interval.low <= 0 <= interval.high else "they differ"
        if both["equivalent"]:
            verdict += f"; equivalent within {MARGIN}"
        found[measure] = {"alone": a, "here": b, "interval": list(interval), "verdict": verdict}
        (mean_a, mean_b), (sd_a, sd_b) = both["means"], both["deviations"]
        print(
            f"| {measure} | {mean_a:.3f} ({sd_a:.3f}) | {mean_b:.3f} ({sd_b:.3f}) | {mean_b - mean_a:+.3f} "
            f"[{interval.low:+.3f}, {interval.high:+.3f}] | {verdict} |"
        )
    here_seconds, alone_seconds = (
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    trained = "" if arguments.stored else f"here {here_seconds:.0f}, "
    print(f"\nCPU seconds: {trained}alone {alone_seconds:.0f}")
    if arguments.out:
        found |= {"ours": [curve.tolist() for curve in ours], "theirs": [curve.tolist() for curve in theirs]}
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
