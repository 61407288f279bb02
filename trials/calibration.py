"""How often does the regression gate cry wolf, and how often does it see a fault?

The tables of docs/how-to/regression.md.

    python trials/calibration.py [--pools DIR] [--out FILE.md] [--only false-alarms suite power]

A gate tests fresh seeds against a baseline and confirms what it calls worse with other fresh seeds. Here both come from
pools of areas under the curve, one a cell, trained in large batches; a seed is used in one gate only, and never in a
baseline and a gate. What judges is the gate's own code (haepo_bench/regression/verdict.py).

- false-alarms: trials/calibration.yaml, whose ten cells cost milliseconds a seed: thousands of gates.
- suite: the native cells of suites/regression.yaml; besides as another machine would run them (two threads, noise of
  1e-7 on observations).
- power: the same cells with faults planted (trials/faults.py).

Pools are kept in --pools and used again while the source of the training rooms stays what it is.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from faults import FAULTS, HARMLESS, UNSEEN, Fault, plant
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
CHEAP, SUITE = ROOT / "trials" / "calibration.yaml", ROOT / "suites" / "regression.yaml"
ALPHA, BASELINE_SEEDS = 0.01, 50
#: Seeds of a training batch.
BATCH = 250

Array = NDArray[Any]


# Pools of areas: [cell, seed], in units of the task's span.


def train(suite: Path, first: int, number: int, threads: int, out: Path) -> None:
    """Trains the native cells of a suite on the seeds from `first` on; in a process of its own."""
    import torch

    from haepo_bench import catalogue
    from haepo_bench.statistics.curves import area_under_curve
    from haepo_bench.suite.resolve import load_plan
    from haepo_bench.training.recorder import Recorder, SeedResult

    torch.set_num_threads(threads)
    pool = []
    for cell in (cell for cell in load_plan(suite).cells if cell.batches_seeds):
        task = catalogue.task(cell.task, time_limit=cell.time_limit)
        assert task.references is not None
        zero, one = task.references.random, task.references.solved
        areas: dict[int, float] = {}

        def finished(result: SeedResult, areas: dict[int, float] = areas, zero: float = zero, one: float = one) -> None:
            returns = np.array([zero if value is None else value for value in result.curve["eval_return"]], dtype=float)
            areas[result.seed] = float(area_under_curve((returns - zero) / (one - zero), result.curve["env_steps"]))

        for start in range(first, first + number, BATCH):
            seeds = range(start, min(start + BATCH, first + number))
            recorder = Recorder(
                seeds,
                budget=cell.budget,
                every=cell.evaluation_every,
                episodes=cell.evaluation_episodes,
                on_finished=finished,
            )
            catalogue.algorithm(cell.uses).configure(cell.overrides, task).train(task, seeds, recorder, device="cpu")
        pool.append([areas[seed] for seed in range(first, first + number)])
    np.save(out, np.array(pool))


class Pools:
    """Pools of areas in a folder.

    Args:
        workers: processes that train at a time.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._executor = ThreadPoolExecutor(workers)

    def areas(self, suite: Path, first: int, number: int, *, fault: Fault | None = None, threads: int = 1) -> Array:
        """[cell, seed] of the seeds from `first` on; in blocks, which are trained side by side."""
        from haepo_bench.results.hashing import digest
        from haepo_bench.suite.resolve import load_plan

        starts = range(first, first + number, 2 * BATCH)
        blocks = [(start, min(2 * BATCH, first + number - start)) for start in starts]
        code = digest([cell.code_hash for cell in load_plan(suite).cells])[:8]
        jobs = [self._executor.submit(self._block, suite, code, *block, fault, threads) for block in blocks]
        return np.concatenate([job.result() for job in jobs], axis=1)

    def _block(self, suite: Path, code: str, first: int, number: int, fault: Fault | None, threads: int) -> Array:
        how = f"{fault.name if fault else 'as-it-is'}-{threads}"
        path = self._folder / f"{suite.stem}-{code}-{how}-{first}-{number}.npy"
        if not path.exists():
            with tempfile.TemporaryDirectory() as copy:
                shutil.copytree(
                    ROOT / "haepo_bench", Path(copy) / "haepo_bench", ignore=shutil.ignore_patterns("__pycache__")
                )
                if fault is not None:
                    plant(fault, Path(copy) / "haepo_bench")
                temporary = path.with_suffix(".tmp.npy")
                command = [sys.executable, __file__, "--train", str(suite), str(first), str(number), str(threads)]
                subprocess.run(
                    [*command, str(temporary)],
                    env={**os.environ, "PYTHONPATH": copy, "OMP_NUM_THREADS": str(threads)},
                    check=True,
                )
                temporary.replace(path)
        found: Array = np.load(path)
        return found


# Gates.


class Gates(NamedTuple):
    """How gates ended; [gate] bool each.

    Args:
        small: the first batch's least p-value of a drop, corrected by Holm's method, is at most alpha, however small
            the drop.
        suspected: a cell was called worse by the first batch of fresh seeds.
        red: and again by the second.
    """

    small: Array
    suspected: Array
    red: Array


class Reserve:
    """Seeds for confirmations: each is given out once.

    Args:
        pool: [cell, seed].
    """

    def __init__(self, pool: Array) -> None:
        self._pool, self._next = pool, 0

    def batch(self, seeds: int) -> Array:
        """[cell, seed].

        Raises:
            ValueError: the reserve is used up.
        """
        start, self._next = self._next, self._next + seeds
        if self._next > self._pool.shape[1]:
            raise ValueError("more confirmations than seeds in reserve: train a larger pool")
        return self._pool[:, start : self._next]


def gates(
    baselines: Sequence[Array], fresh: Array, confirming: Callable[[int], Array], *, min_effect: float = 0.10
) -> Gates:
    """Gates all of one size, each with seeds of its own.

    Args:
        baselines: [cell, seed] each; gate i is against the i-th, counted round.
        fresh: [gate, cell, seed].
        confirming: gives a gate's second batch [cell, seed].
    """
    from haepo_bench.regression.verdict import Mark, Rule, judge

    count, cells, _ = fresh.shape
    rule = Rule(alpha=ALPHA, min_effect=min_effect)
    of_gate = [baselines[gate % len(baselines)] for gate in range(count)]
    evidence = compared([*chain(*of_gate)], [*chain(*fresh)], cells)
    small, suspected, red = (np.zeros(count, bool) for _ in range(3))
    for gate, baseline in enumerate(of_gate):
        marks = judge(evidence[gate * cells : (gate + 1) * cells], rule)
        small[gate] = min(mark.p_worse for mark in marks) <= ALPHA
        suspects = [cell for cell, judgement in enumerate(marks) if judgement.mark is Mark.WORSE]
        if suspects:
            suspected[gate] = True
            again = confirming(gate)[suspects]
            second = judge(compared(list(baseline[suspects]), list(again), len(suspects)), rule)
            red[gate] = any(judgement.mark is Mark.WORSE for judgement in second)
    return Gates(small, suspected, red)


def compared(baseline: list[Array], fresh: list[Array], together: int) -> list[Any]:
    """What cells of many gates say, `together` to a gate: the very p-values of the gates, in one call.

    Random rearrangements come from a fixed seed, so that only their number depends on how many cells are compared.
    """
    from haepo_bench.regression import verdict

    whole = verdict.draws_for
    with patch.object(verdict, "draws_for", lambda tests, alpha: whole(together, alpha)):
        return verdict.compare(baseline, fresh, rule=verdict.Rule(alpha=ALPHA))


def dealt(pool: Array, seeds: int) -> Array:
    """pool: [cell, seed] -> [gate, cell, seed]: each seed in one gate."""
    cells, number = pool.shape
    count = number // seeds
    return pool[:, : count * seeds].reshape(cells, count, seeds).swapaxes(0, 1)


def share(happened: Array) -> str:
    """`3 of 1,000 (0.1 to 0.9 %)`: Wilson's interval at 95 %."""
    from haepo_bench.statistics.rates import rate_interval

    interval = rate_interval(happened)
    return f"{happened.sum():,} of {len(happened):,} ({100 * interval.low:.2g} to {100 * interval.high:.2g} %)"


def baselines_of(pool: Array) -> list[Array]:
    """pool: [cell, seed] -> baselines [cell, seed] of 50 seeds each."""
    count = pool.shape[1] // BASELINE_SEEDS
    return [pool[:, i * BASELINE_SEEDS : (i + 1) * BASELINE_SEEDS] for i in range(count)]


def unlucky(baselines: Sequence[Array]) -> tuple[Array, Array]:
    """Two unlucky baselines: the highest of all on average over cells, and one of the highest in every cell at once.

    The second takes for each cell the baseline at the 95th percentile of means: worse than any that is ever recorded.
    """
    means = np.array([baseline.mean(axis=1) for baseline in baselines])
    z = (means - means.mean(axis=0)) / means.std(axis=0)
    whole = baselines[int(z.mean(axis=1).argmax())]
    place = int(0.95 * (len(baselines) - 1))
    chosen = np.argsort(means, axis=0)[place]
    return whole, np.array([baselines[which][cell] for cell, which in enumerate(chosen)])


# Tables.

Print = Callable[[str], None]


def table(say: Print, title: str, *columns: str) -> None:
    say(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def row(say: Print, *cells: object) -> None:
    say("| " + " | ".join(map(str, cells)) + " |")


def false_alarm_row(say: Print, what: str, baselines: Sequence[Array], pool: Array, spare: Array, seeds: int) -> Gates:
    reserve = Reserve(spare)
    found = gates(baselines, dealt(pool, seeds), lambda _: reserve.batch(seeds))
    row(say, what, seeds, share(found.small), share(found.suspected), share(found.red))
    return found


_COLUMNS = ("baseline", "fresh seeds", "any drop in the first batch", "a drop of 0.10 in it", "**red: confirmed**")


def false_alarms(pools: Pools, say: Print, *, seeds: int, baselines: int) -> None:
    """Many gates on cheap cells."""
    known = baselines_of(pools.areas(CHEAP, 0, baselines * BASELINE_SEEDS))
    fresh, reserve = pools.areas(CHEAP, 10**6, seeds), pools.areas(CHEAP, 5 * 10**6, 2 * BATCH)
    table(say, f"False alarms, alpha {ALPHA}, ten cheap cells", *_COLUMNS)
    whole, every = unlucky(known)
    for number in (5, 10, 20):
        false_alarm_row(say, f"each of {len(known)} in turn", known, fresh, reserve, number)
    high = false_alarm_row(say, f"the luckiest of {len(known)} on average", [whole], fresh, reserve, 10)
    false_alarm_row(say, "the 95th percentile in every cell at once", [every], fresh, reserve, 10)
    hundreds = len(high.red) // 100
    if hundreds:
        counts = high.red[: hundreds * 100].reshape(-1, 100).sum(axis=1)
        say(
            f"\nAgainst the luckiest baseline, {hundreds} times 100 commits that all move bits: "
            f"{counts.mean():.2f} false alarms per 100 commits, at most {counts.max()}."
        )


def suite(pools: Pools, say: Print, *, seeds: int, baselines: int) -> None:
    """The regression suite's native cells, also as another machine would run them."""
    known = baselines_of(pools.areas(SUITE, 0, baselines * BASELINE_SEEDS))
    fresh, reserve = pools.areas(SUITE, 10**6, seeds), pools.areas(SUITE, 5 * 10**6, BATCH)
    table(say, f"False alarms, alpha {ALPHA}, the native cells of suites/regression.yaml", *_COLUMNS)
    recorded, (whole, _) = [known[0]], unlucky(known)
    for number in (5, 10):
        false_alarm_row(say, "seeds 0 to 49, as recorded", recorded, fresh, reserve, number)
    false_alarm_row(say, f"the luckiest of {len(known)} on average", [whole], fresh, reserve, 10)
    noise = next(fault for fault in HARMLESS if fault.name == "observation-noise")
    part = seeds // 4
    threads = pools.areas(SUITE, 2 * 10**6, part, threads=2)
    false_alarm_row(say, "as recorded; gates with two threads", recorded, threads, reserve, 5)
    noisy = pools.areas(SUITE, 3 * 10**6, part, fault=noise)
    false_alarm_row(say, "as recorded; gates with noise of 1e-7 on observations", recorded, noisy, reserve, 5)


#: What the gate must see, and what it can hardly see.
POWER = (
    "learning-rate",
    "haepo-entropy-sign",
    "not-standardised",
    "mask-first-step",
    "evaluation-less",
    "grpo-clip-side",
    "collapse",
)


def power(pools: Pools, say: Print, *, seeds: int, baselines: int) -> None:
    """Chance that a gate of one attempt turns red, by fault and number of fresh seeds."""
    del baselines
    known = pools.areas(SUITE, 0, BASELINE_SEEDS)
    table(
        say,
        f"Power: share of gates that are red, baseline of {BASELINE_SEEDS} seeds, native cells of regression.yaml",
        "fault", "5 fresh seeds", "10", "20", "largest drop",
    )  # fmt: skip
    by_name = {fault.name: fault for fault in (*FAULTS, *UNSEEN)}
    for name in POWER:
        pool = pools.areas(SUITE, 4 * 10**6, seeds, fault=by_name[name])
        rates = []
        for number in (5, 10, 20):
            # Gates draw their seeds from one pool, without replacement within a gate.
            rng = np.random.default_rng([number, len(name)])
            drawn = np.stack([pool[:, rng.permutation(pool.shape[1])[: 2 * number]] for _ in range(50)])
            red = gates([known], drawn[:, :, :number], second_batch(drawn[:, :, number:])).red
            rates.append(f"{red.mean():.0%}")
        drop = (pool.mean(axis=1) - known.mean(axis=1)).min()
        row(say, by_name[name].what, *rates, f"{drop:+.2f}")


def second_batch(batches: Array) -> Callable[[int], Array]:
    """batches: [gate, cell, seed] -> what gives a gate's."""
    return lambda gate: np.asarray(batches[gate])


PARTS: dict[str, Callable[..., None]] = {"false-alarms": false_alarms, "suite": suite, "power": power}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", type=Path, default=ROOT / "results" / "calibration")
    parser.add_argument("--out", type=Path, help="write the tables there too")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    for name, seeds, baselines in (("false-alarms", 10_000, 40), ("suite", 1_000, 10), ("power", 80, 1)):
        parser.add_argument(f"--{name}-seeds", type=int, default=seeds, help=f"fresh seeds, {seeds:,} if left out")
        parser.add_argument(f"--{name}-baselines", type=int, default=baselines, help=argparse.SUPPRESS)
    arguments = vars(parser.parse_args())
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    pools = Pools(arguments["pools"], arguments["workers"])
    for part in arguments["only"]:
        key = part.replace("-", "_")
        PARTS[part](pools, say, seeds=arguments[f"{key}_seeds"], baselines=arguments[f"{key}_baselines"])
    if arguments["out"]:
        arguments["out"].write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(Path(sys.argv[2]), *map(int, sys.argv[3:6]), Path(sys.argv[6]))
    else:
        main()
