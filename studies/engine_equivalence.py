"""Do the two engines learn alike: whole curves of the compiled one against torch's.

    python studies/engine_equivalence.py [--seeds 30] [--budget STEPS] [--same-from SEED] [--out FILE.json]

Trains two algorithms on CartPole-v1 with each engine, and judges the area under the curve and the final score by the
test of ppo_equivalence.py: equivalent where the 90 % interval of the difference of means lies within +-0.10 of the
score span. Declared in advance: the engines are equivalent if both measures are, for both algorithms. Torch has the
seeds 0 to n-1 and the compiled engine the n that follow, so that the two samples are independent: with the same seeds
they share their random numbers. --same-from gives both engines the same seeds, from that one on, so that no luck of
seeds is in the difference; the test does not count on the shared numbers.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ppo_equivalence import EPISODES, MARKS, equivalence, largest_deviation

from haepo_bench import catalogue
from haepo_bench.engine.library import opened
from haepo_bench.results.record import Engine
from haepo_bench.statistics.curves import area_under_curve
from haepo_bench.training.recorder import Recorder, SeedResult

TASK, ALGORITHMS = "gym/CartPole-v1", ("haepo-listwise", "ppo-batched")
MEASURES = ("area under the curve", "final score")


def train(name: str, engine: Engine, seeds: range, budget: int) -> dict[str, list[float]]:
    """Both measures of each seed."""
    task = catalogue.task(TASK)
    references = task.references
    assert references is not None  # CartPole has some
    algorithm = catalogue.algorithm_on(task, name).configure({}, task)
    algorithm.engine = engine
    found: list[SeedResult] = []
    recorder = Recorder(seeds, budget=budget, every=budget // MARKS, episodes=EPISODES, on_finished=found.append)
    algorithm.train(task, seeds, recorder, device="cpu")
    areas, finals = [], []
    for result in sorted(found, key=lambda result: result.seed):
        returns = [references.random if r is None else r for r in result.curve["eval_return"]]
        scores = np.array([references.score(r) for r in returns])
        areas.append(float(area_under_curve(scores, np.array(result.curve["env_steps"], dtype=float))))
        finals.append(float(scores[-1]))
    return dict(zip(MEASURES, (areas, finals), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--budget", type=int, default=50_000)
    parser.add_argument("--same-from", type=int, help="both engines have the seeds from this one on")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    opened()  # or it says why there is nothing to compare
    n, budget = arguments.seeds, arguments.budget
    report: dict[str, Any] = {"seeds": n, "budget": budget, "algorithms": {}}
    print(f"{n} seeds; a test has power 0.8 up to a standard deviation of {largest_deviation(n):.3f} in both\n")
    print("| algorithm | measure | torch | compiled | difference (90 % interval) | power | equivalent |")
    print("|---|---|---|---|---|---|---|")
    for name in ALGORITHMS:
        same = arguments.same_from
        of_torch, of_compiled = (range(n), range(n, 2 * n)) if same is None else (range(same, same + n),) * 2
        by_torch = train(name, "torch", of_torch, budget)
        compiled = train(name, "compiled", of_compiled, budget)
        report["algorithms"][name] = {m: equivalence(by_torch[m], compiled[m]) for m in MEASURES}
        for measure, found in report["algorithms"][name].items():
            low, high = found["interval"]
            means = [f"{m:.3f} ({sd:.3f})" for m, sd in zip(found["means"], found["deviations"], strict=True)]
            said = f"{found['difference']:+.3f} ({low:+.3f} to {high:+.3f}) | {found['power']:.2f}"
            print(
                f"| {name} | {measure} | {means[0]} | {means[1]} | {said} | {'yes' if found['equivalent'] else 'no'} |"
            )
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
