"""How long a report on a large store takes, and how much memory.

    python benchmarks/report.py [--repeats N] [--runs N] [--marks N] [--keep FOLDER]

Makes up a store of 10,000 runs with 100 marks each (20 tasks of 8 families, 10 algorithms, 50 seeds; one run in a
hundred missing, one diverged), then times the command itself in a process of its own, from its start to its end:
`report --format json`, and `report` as HTML with all figures. Prints a table of targets with what was measured: the
slowest of the repeats, and the largest peak of resident memory. CPU time says what a busy machine adds to the clock.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from haepo_bench.results.record import Information, References, RunRecord

FAMILIES = ("bandit", "random-walk", "corridor", "deep-sea", "multi-goal", "key-door", "t-maze", "gym")
ALGORITHMS = (
    "haepo-weighted",
    "haepo-listwise",
    "haepo-ranking",
    "reinforce",
    "reinforce-togo",
    "grpo",
    "grpo-plain",
    "dpo",
    "ppo",
    "ppo-batched",
)
TASKS = 20
SECONDS = {"json": 20.0, "html": 60.0}
GIBIBYTE = 2**30


class Measured(NamedTuple):
    """What a command took: seconds on the clock and of CPU time, and the peak of its resident memory in bytes."""

    seconds: float
    cpu: float
    peak: int


def make_store(root: Path, runs: int, marks: int) -> int:
    """Writes a suite's folder with so many runs asked for; returns how many lie there."""
    rng = np.random.default_rng(0)
    seeds = runs // (TASKS * len(ALGORITHMS))
    cells, written = [], 0
    for t in range(TASKS):
        family = FAMILIES[t % len(FAMILIES)]
        task = f"{family}/{t}"
        for a, algorithm in enumerate(ALGORITHMS):
            settings, code = f"{t:04x}{a:04x}" + "5" * 56, "c" * 64
            folder = f"{quote(task, safe='')}--{algorithm}--{settings[:8]}-{code[:8]}"
            information = Information(told="returns", critic=a > 7, discount=None, label=algorithm)
            cells.append(
                {
                    "folder": folder,
                    "task": task,
                    "algorithm": algorithm,
                    "uses": algorithm,
                    "seeds": list(range(seeds)),
                    "settings_hash": settings,
                    "code_hash": code,
                    "information": information.model_dump(),
                }
            )
            (root / folder).mkdir(parents=True)
            speed = rng.uniform(1, 6)
            score = 1 - np.exp(-speed * np.linspace(0, 1, marks)) + rng.normal(0, 0.05, (seeds, marks))
            for seed in range(seeds):
                number = (t * len(ALGORITHMS) + a) * seeds + seed
                if number % 100 == 7:
                    continue
                record = _record(rng, task, algorithm, seed, 500.0 * score[seed], settings, code, number % 100 == 11)
                text = record.model_copy(update={"information": information}).to_json()
                (root / folder / f"seed-{seed}.json").write_text(text)
                written += 1
    plan = {"format_version": 1, "suite": root.name, "description": "made up", "source": "", "cells": cells}
    (root / "plan.json").write_text(json.dumps(plan))
    return written


def _record(
    rng: np.random.Generator,
    task: str,
    algorithm: str,
    seed: int,
    returns: np.ndarray[Any, Any],
    settings: str,
    code: str,
    diverged: bool,
) -> RunRecord:
    """A run as long and as precise as a real one; it is not checked, which takes longer than writing it."""
    n = len(returns)
    steps = np.arange(n)
    alive = n // 2 if diverged else n
    noise = rng.normal(size=(8, n)) + returns
    columns: dict[str, Any] = {
        "env_steps": (500 * steps).tolist(),
        "gradient_steps": (8 * steps).tolist(),
        "episodes": (16 * steps).tolist(),
        "wall_seconds": (0.0171 * steps * (1 + 0.1 * rng.random())).tolist(),
        "cpu_seconds": (0.0169 * steps).tolist(),
        "eval_return": returns.tolist(),
        "eval_return_greedy": (returns + 1.25).tolist(),
    }
    extra = ("eval_return_std", "train_return", "policy_entropy", "kl_previous", "gradient_norm", "loss")
    columns |= {name: noise[i].tolist() for i, name in enumerate((*extra, "state_coverage", "effective_sample_size"))}
    for name, column in columns.items():
        if name != "env_steps":
            column[alive:] = [None] * (n - alive)
    cost = {"wall_seconds": 1.7, "cpu_seconds": 1.7, "env_steps_collected": 500.0 * n, "gradient_steps": 8.0 * n}
    return RunRecord.model_construct(
        format_version=1,
        status="diverged" if diverged else "done",
        suite="large",
        task=task,
        algorithm=algorithm,
        uses=algorithm,
        seed=seed,
        settings_hash=settings,
        code_hash=code,
        settings={"task": task},
        parameters={"learning_rate": 0.003},
        references=References(random=0.0, solved=500.0, source="made up"),
        information=Information(told="returns", critic=False, discount=None, label=algorithm),
        notes=[],
        curve=columns,
        final={"eval_return": columns["eval_return"][-1], "eval_return_greedy": columns["eval_return_greedy"][-1]},
        cost={**cost, "episodes": 16.0 * n, "peak_memory_bytes": 5e8},
        provenance={"started": "2026-01-01T00:00:00+00:00", "cpu": "made up", "versions": {"torch": "2.13.0"}},
        attempts=[],
        error=None,
    )


def measure(*arguments: str) -> Measured:
    """The command in a process of its own, its output thrown away."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "haepo_bench", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"haepo-bench {' '.join(arguments)} ended with exit code {process.returncode}\n{said}")
    return Measured(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def commands(store: Path, out: Path) -> dict[str, list[str]]:
    """The two that are measured."""
    return {
        "json": ["report", str(store), "--format", "json"],
        "html": ["report", str(store), "--out", str(out), "--figures", "png,svg"],
    }


def targets(found: dict[str, list[Measured]]) -> list[tuple[str, str, bool]]:
    """(what was aimed at, what was measured, whether it was met)."""
    rows = []
    for form, measured in found.items():
        slowest, peak = max(each.seconds for each in measured), max(each.peak for each in measured)
        cpu = max(each.cpu for each in measured)
        said = f"{slowest:.1f} s ({cpu:.1f} s of CPU time)"
        rows.append((f"{form} in under {SECONDS[form]:g} s", said, slowest < SECONDS[form]))
        if form == "json":
            rows.append((f"{form} in under 1024 MiB", f"{peak / 2**20:.0f} MiB", peak < GIBIBYTE))
        else:
            rows.append((f"{form}: peak memory, no target", f"{peak / 2**20:.0f} MiB", True))
    return rows


def main() -> None:
    """Makes up the store, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--runs", type=int, default=10_000, help="a multiple of 200")
    parser.add_argument("--marks", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="leave the store here, and take the one that is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = (arguments.keep or Path(folder)) / "large"
        if not store.exists():
            make_store(store, arguments.runs, arguments.marks)
        files = list(store.glob("*/seed-*.json"))
        size = sum(file.stat().st_size for file in files) / 2**20
        print(f"{len(files)} runs of {arguments.runs} with {arguments.marks} marks, {size:.0f} MiB")
        print(f"{os.cpu_count()} cores")
        found: dict[str, list[Measured]] = {}
        for _ in range(arguments.repeats):
            for form, command in commands(store, Path(folder) / "out").items():
                found.setdefault(form, []).append(measure(*command))
    print("\n| target | measured | met |\n|---|---|---|")
    for target, value, met in targets(found):
        print(f"| {target} | {value} | {'yes' if met else 'no'} |")


if __name__ == "__main__":
    main()
