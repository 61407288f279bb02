"""How often are two copies of one algorithm called different, at equal search and with the settings found?

The table of docs/explanation/statistics.md.

    python studies/equal_search.py [--studies 200] [--replicates 30] [--seeds 30] [--out FILE.json]

A simulated study is a suite with two copies of one algorithm under two names. Nothing is trained: a run's score is the
value of its settings on a landscape, plus noise of its seed. Everything else is the program's own: the draws, the
trials that `tune` proposes, the store, what is chosen, the settings found, and the verdicts: on the replicates; on
fresh seeds with the settings found; and on fresh seeds with what the first replicate alone had chosen, as if each had
been searched once. Landscapes differ in how much depends on settings; each study has its own draws.

"Different" is a verdict "supported" (better) or "not supported" because it is worse: 5 % in either direction.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from math import log10, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from haepo_bench.results.declarations import declare
from haepo_bench.results.record import RunRecord
from haepo_bench.results.selection import Selection, select
from haepo_bench.results.store import Store
from haepo_bench.search.tuned_file import settings_of, tuned_file, write_tuned
from haepo_bench.search.tuning import Tuning
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.planned import plan_file
from haepo_bench.suite.resolve import load_plan
from haepo_bench.verdicts.equal_search import equal_search
from haepo_bench.verdicts.judging import judge

SUITE = """\
name: {name}
seeds: {seeds}
budget: {{env_steps: 10}}
evaluation: {{every: 10}}
tasks: [random-walk/4]
algorithms: [{{use: rloo, name: one}}, {{use: rloo, name: two}}]
claims: {{candidate: one, baselines: [two], made: [converges fast]}}
search:
  trials: {trials}
  seeds: 2
  replicates: {replicates}
  spaces:  # its own, so that the draws stay when the program's are widened
    rloo:
      entropy_coefficient: {{zero_or_log: [1e-5, 1]}}
      beta: {{zero_or_log: [1e-5, 1]}}
      trajectories: {{choices: [4, 8, 16, 32, 64]}}
      epochs: {{choices: [1, 2, 4, 8, 16]}}
      learning_rate: {{log: [3e-5, 3e-2]}}
execution: {{device: cpu, engine: torch}}
"""


class Landscape(NamedTuple):
    """What the score of a run is.

    Args:
        value: of settings: what most runs with them score.
        noise: standard deviation over seeds.
    """

    name: str
    value: Callable[[Mapping[str, Any]], float]
    noise: float


def _hill(parameters: Mapping[str, Any]) -> float:
    """One good learning rate, and entropy that hurts."""
    return 0.85 - 0.25 * abs(log10(parameters["learning_rate"]) + 2.7) - 0.5 * parameters["entropy_coefficient"]


def _cliff(parameters: Mapping[str, Any]) -> float:
    """Settings either learn or do not."""
    learns = 3e-4 < parameters["learning_rate"] < 8e-3 and parameters["epochs"] > 1
    return 0.8 - 0.1 * parameters["beta"] if learns else 0.1


def _rough(parameters: Mapping[str, Any]) -> float:
    """Every configuration has a value of its own."""
    key = [int(1e9 * parameters["learning_rate"]), int(parameters["trajectories"]), int(parameters["epochs"])]
    return 0.2 + 0.6 * float(np.random.default_rng(key).random())


LANDSCAPES = (
    Landscape("a hill", _hill, 0.05),
    Landscape("a hill, noisy", _hill, 0.2),
    Landscape("a cliff", _cliff, 0.05),
    Landscape("rough", _rough, 0.05),
)


class Found(NamedTuple):
    """Whether one study called the copies different."""

    at_equal_search: bool
    with_settings_found: bool
    searched_once: bool


def study(landscape: Landscape, number: int, *, replicates: int, trials: int, seeds: int, folder: Path) -> Found:
    """One simulated study, whose files are in a folder of its own.

    Args:
        number: of the study: other draws, other noise.
        seeds: fresh ones of each copy with the settings found.
    """
    name = f"study-{landscape.name.replace(' ', '-').replace(',', '')}-{number}"
    suite = folder / f"{name}.yaml"
    suite.write_text(SUITE.format(name=name, seeds=seeds, trials=trials, replicates=replicates))
    tuning = Tuning(load_plan(suite, tune=True), Store(folder / name / "search"))
    while (proposal := tuning.next()) is not None:
        _make(proposal, tuning.store, landscape, number)
    tuning.store.write_plan(plan_file(tuning.taken))
    equal = equal_search(select(tuning.store))
    assert tuning.chooser is not None
    found = tuned_file(tuning.plan, tuning.chooser)
    once = {}
    for algorithm, each in found.algorithms.items():
        choice = tuning.chooser.best(algorithm, 0, tuning.chooser.tasks(algorithm))
        assert choice is not None
        drawn = {"replicate": choice.trial.replicate, "trial": choice.trial.number}
        once[algorithm] = each.model_copy(update={**drawn, "settings": settings_of(name, tuning.search, choice.trial)})
    verdicts = []
    for what, tuned in (("found", found), ("once", found.model_copy(update={"algorithms": once}))):
        file, store = folder / f"{name}.{what}.yaml", Store(folder / f"{name}-{what}")
        write_tuned(file, tuned)
        _make(load_plan(suite, tuned=str(file)), store, landscape, number)
        verdicts.append(_different(select(store)))
    return Found(_different(equal), *verdicts)


def _make(plan: Plan, store: Store, landscape: Landscape, number: int) -> None:
    """Stores every run of a plan as if it had been trained."""
    store.root.mkdir(parents=True, exist_ok=True)
    planned = plan_file(plan, written="2026")
    declare(store, planned)
    store.write_plan(planned)
    for cell in plan.cells:
        (store.root / cell.folder).mkdir(exist_ok=True)
        value = landscape.value(cell.parameters)
        for seed in cell.seeds:
            key = [number, seed, *map(ord, cell.algorithm)]
            score = value + landscape.noise * float(np.random.default_rng(key).normal())
            record = _record(plan, cell, seed, score, planned.declaration)
            store.path(cell.folder, seed).write_text(record.to_json())


def _record(plan: Plan, cell: Cell, seed: int, score: float, declaration: str) -> RunRecord:
    references, bounds = cell.references, plan.bounds[cell.task]
    assert references is not None
    score = min(max(score, bounds.low), bounds.high)
    value = references.random + score * (references.solved - references.random)
    columns = ("env_steps", "gradient_steps", "wall_seconds", "cpu_seconds")
    curve: dict[str, Any] = {name: [0, cell.budget] for name in columns}
    return RunRecord(
        status="done",
        suite=plan.suite,
        task=cell.task,
        algorithm=cell.algorithm,
        uses=cell.uses,
        seed=seed,
        settings_hash=cell.settings_hash,
        code_hash=cell.code_hash,
        settings={},
        parameters=cell.parameters,
        references=references,
        information=cell.information,
        curve=curve | {"eval_return": [value, value], "eval_return_greedy": [value, value]},
        final={"eval_return": value, "eval_return_greedy": value},
        cost={"wall_seconds": 1.0, "cpu_seconds": 1.0, "env_steps_collected": cell.budget, "gradient_steps": 1},
        provenance={"started": "2026-01-01T00:00:00+00:00", "declaration": declaration},
    )


def _different(selection: Selection) -> bool:
    """Whether the verdict on `one` against `two` is that it is better or worse."""
    (claim,) = judge(selection, details=False)
    decision = claim.overall[0].decision
    return decision.verdict == "supported" or decision.worse


def main() -> int:
    """Runs the studies and prints the table; exit code 1 where too many are called different at equal search."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=200, help="per landscape")
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=30, help="fresh ones with the settings found")
    parser.add_argument("--only", help="one landscape")
    parser.add_argument("--out", type=Path, help="where each study's outcome goes, as JSON")
    arguments = parser.parse_args()
    limit = 0.05 + 2 * sqrt(0.05 * 0.95 / arguments.studies)
    print("| landscape | studies | different at equal search | with the settings found | each searched once |")
    print("|---|---|---|---|---|")
    failed = False
    outcomes: dict[str, list[list[bool]]] = {}
    for landscape in LANDSCAPES:
        if arguments.only not in (None, landscape.name):
            continue
        found = []
        for number in range(arguments.studies):
            folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
            try:
                found.append(
                    study(
                        landscape,
                        number,
                        replicates=arguments.replicates,
                        trials=arguments.trials,
                        seeds=arguments.seeds,
                        folder=folder,
                    )
                )
            finally:
                shutil.rmtree(folder)
            outcomes[landscape.name] = [list(map(bool, each)) for each in found]
            if arguments.out:
                arguments.out.write_text(json.dumps(outcomes))
        equal, settings, once = (float(np.mean(column)) for column in zip(*found, strict=True))
        failed = failed or equal > limit
        print(f"| {landscape.name} | {len(found)} | {equal:.3f} | {settings:.3f} | {once:.3f} |", flush=True)
    print(f"\nat equal search at most {limit:.3f} may be: {'too many are' if failed else 'so it is'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
