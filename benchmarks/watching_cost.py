"""CPU seconds per env step of `run --log tensorboard --view` against the same run without: the median ratio of pairs.

    python benchmarks/watching_cost.py [--pairs N] [--options WORD ...] [--unread]

A cut of suites/paper.yaml (three algorithms, two tasks, 3 seeds: about 30 seconds on two cores) is run with and without
the options in turns, AB BA AB ..., each time from nothing and in a process of its own. What counts is the CPU time of
that process and all that it starts: workers, view, loggers. Meanwhile a reader asks the view for its state twice a
second, as an open page does; the reader's own time (in life a browser's) does not count. Without a terminal a view ends
with its run, so that the report which it would make then is not in it. Prints each pair, the median and the interval
between order statistics that covers the median with at least 95 %. Declared target: under 1.05. Ctrl-C ends it early,
with the pairs so far. Linux only.

The view works by the clock, not by the step: on a machine with other work, where a run takes longer, it costs more.
"""

import argparse
import contextlib
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import yaml
from scipy import stats

SUITE = Path(__file__).parent.parent / "suites" / "paper.yaml"
#: Tasks and env steps: long enough for a run's cost to be that of training.
TASKS = {"corridor/64": 50_000, "gym/CartPole-v1": 100_000}
ALGORITHMS, SEEDS = ("haepo-weighted", "grpo", "ppo-batched"), 3
TARGET = 1.05
_CHILD_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER in linux/prctl.h


class Cost(NamedTuple):
    """What one run took; env steps of all its records."""

    cpu_seconds: float
    wall_seconds: float
    env_steps: float
    answers: int


def cut() -> str:
    """The suite, as YAML."""
    whole = yaml.safe_load(SUITE.read_text(encoding="utf-8"))
    document = {
        "name": "paper-cut",
        "seeds": SEEDS,
        "evaluation": whole["evaluation"],
        "tasks": [{"id": task, "budget": {"env_steps": env_steps}} for task, env_steps in TASKS.items()],
        "algorithms": [name for name in whole["algorithms"] if name in ALGORITHMS],
        "execution": {"device": "cpu", "workers": 2},
    }
    return yaml.safe_dump(document, sort_keys=False)


def median_interval(values: list[float], level: float = 0.95) -> tuple[float, float] | None:
    """Covers the median of the distribution at that level or more, whatever it is; None where there are too few.

    The median lies between the k-th smallest and the k-th largest of n values unless fewer than k of them are on one
    side of it: 1 - 2 P(Binomial(n, 1/2) < k).
    """
    ordered, n = sorted(values), len(values)
    k = int(stats.binom.ppf((1 - level) / 2, n, 0.5))
    if k < 1:
        return None
    return ordered[k - 1], ordered[n - k]


def read_along(address: str, over: threading.Event, answers: list[int]) -> None:
    """Asks for the state as a page does."""
    while not over.wait(0.5):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}state", timeout=10) as answer:
            answers.append(len(answer.read()))


def measure(options: list[str], *, read: bool) -> Cost:
    """Runs the cut once, here: this process must have started nothing else before."""
    # What loses its parent becomes ours, so that its time counts as well.
    ctypes.CDLL(None, use_errno=True).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        suite, results = Path(folder) / "suite.yaml", Path(folder) / "results"
        suite.write_text(cut(), encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.endswith("DISPLAY")}
        command = [sys.executable, "-m", "haepo_bench", "run", str(suite), "--results", str(results), "--quiet"]
        begun = time.perf_counter()
        run = subprocess.Popen(
            [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        )
        over, answers = threading.Event(), list[int]()
        messages = []
        for line in run.stderr or ():
            messages.append(line)
            if line.startswith("http://") and read:
                threading.Thread(target=read_along, args=[line.split()[0], over, answers], daemon=True).start()
        code = run.wait()
        over.set()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        wall = time.perf_counter() - begun
        if code:
            raise SystemExit("".join(messages))
        if "--view" in options and read and not answers:
            raise SystemExit("the view never answered: " + "".join(messages))
        steps = sum(
            json.loads(path.read_text(encoding="utf-8"))["cost"]["env_steps_collected"]
            for path in (results / "paper-cut").glob("*/seed-*.json")
        )
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return Cost(used.ru_utime + used.ru_stime, wall, steps, len(answers))


def apart(options: list[str], *, read: bool) -> Cost:
    """The same in a process of its own."""
    reading = [] if read else ["--unread"]
    command = [sys.executable, __file__, "--once", *reading, f"--options={' '.join(options)}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return Cost(*json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--options", default="--log tensorboard --view", help="of the run that is compared")
    parser.add_argument("--unread", action="store_true", help="no reader asks for the state")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    options = asked.options.split()
    if asked.once:
        print(json.dumps(measure(options, read=not asked.unread)))
        return
    print(f"| pair | without: CPU s | with {asked.options}: CPU s | wall s | answers | ratio per env step |")
    ratios: list[float] = []
    with contextlib.suppress(KeyboardInterrupt):
        for pair in range(asked.pairs):
            found: dict[bool, Cost] = {}
            for watched in (False, True) if pair % 2 == 0 else (True, False):
                found[watched] = apart(options if watched else [], read=not asked.unread)
            plain, seen = found[False], found[True]
            ratios.append((seen.cpu_seconds / seen.env_steps) / (plain.cpu_seconds / plain.env_steps))
            walls = f"{plain.wall_seconds:.0f}, {seen.wall_seconds:.0f}"
            numbers = f"{plain.cpu_seconds:.2f} | {seen.cpu_seconds:.2f} | {walls} | {seen.answers} | {ratios[-1]:.4f}"
            print(f"| {pair + 1} | {numbers} |", flush=True)
    if ratios:
        interval = median_interval(ratios)
        text = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval is not None else "needs six pairs"
        median = statistics.median(ratios)
        met = "met" if median < TARGET else "not met"
        print(f"median ratio of {len(ratios)} pairs {median:.4f} (95 % interval {text}); target under {TARGET}: {met}")


if __name__ == "__main__":
    main()
