"""Is a damaged checkpoint ever gone on from? Breaks a language run off, damages its checkpoint, and starts it again.

    python trials/damaged_checkpoints.py [--checkpoints 100] [--seed 0] [--only N]

A run of a tiny model is killed after its first, second or third checkpoint, its checkpoint damaged (bits, blocks, cut
off, another seed's, a valid seal around something else, code), and the same `haepo-bench run` given again. Each time

- the record is byte for byte that of a run which nobody disturbed, clocks and provenance apart;
- the damaged checkpoint is kept as `.damaged`, and log and record name it once;
- nothing in it was executed, no traceback is shown, and nobody is told to load it without `weights_only`;
- a checkpoint that was not damaged is gone on from, which the record says.

What cannot be read (a pipe, a closed file, a link to nothing) stops `run` with exit code 4 instead, and is left alone.
Prints a table and every broken promise. Exit code 1 where one was broken.
"""

import argparse
import collections
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from damage import SPECIAL, cut, flip_bits, noise, overwrite, replace
from forked import run

CLOCKS = ("wall_seconds", "cpu_seconds", "tokens_per_second", "seconds_per_step")
SEED = 4


class Executed:
    """What pickle would run."""

    def __reduce__(self) -> Any:
        return (os.mkdir, ("executed",))


def sealed(data: bytes, state: bytes) -> bytes:
    """Another content under the first line of a checkpoint, with its true digest: as if we had written it."""
    from haepo_bench.results.sealing import seal

    title = data.partition(b"\n")[0].rpartition(b" sha256 ")[0].decode()
    return seal(title, state)


def saved(value: Any) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def other_state(data: bytes, rng: random.Random) -> bytes:
    """A state that lacks a part, or in which a part has another shape."""
    import torch

    whole = torch.load(io.BytesIO(data.partition(b"\n")[2]), weights_only=True)
    state = rng.choice((whole, whole["state"]))
    name = rng.choice(sorted(state))
    if rng.random() < 0.5:
        del state[name]
    else:
        state[name] = rng.choice((None, [], {"a": 1}, "text", torch.zeros(3)))
    # What may be absent is: then nothing is wrong with it.
    return data if name in ("renewed", "reference_returns", "prefix_policies") else sealed(data, saved(whole))


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "nothing": lambda data, rng: data,
    "bits flipped": flip_bits,
    "cut off": cut,
    "overwritten": overwrite,
    "noise": noise,
    "of another seed": lambda data, rng: data.replace(f" seed {SEED} ".encode(), b" seed 5 ", 1),
    "without a digest": lambda data, rng: b"haepo-bench checkpoint 1 a b\n" + data.partition(b"\n")[2],
    "sealed noise": lambda data, rng: sealed(data, rng.randbytes(1000)),
    "sealed code": lambda data, rng: sealed(data, saved({"iteration": Executed()})),
    "another state, sealed": other_state,
}


def suite(folder: Path) -> Path:
    path = folder / "suite.yaml"
    task = {"id": "lm/arithmetic", "budget": {"env_steps": 1_500}, "evaluation": {"every": 500, "episodes": 4}}
    params = {"prompts": 2, "completions": 4, "fine_tuning_steps": 2}
    document = {
        "name": "trial",
        "seeds": [SEED],
        "tasks": [task],
        "algorithms": [{"use": "grpo", "params": params}],
        "execution": {"workers": 1, "device": "cpu", "checkpoint": 0},
    }
    path.write_text(json.dumps(document))
    return path


def comparable(record: dict[str, Any]) -> str:
    """A record without clocks and provenance, as text."""
    curve = {name: column for name, column in record["curve"].items() if name not in CLOCKS}
    cost = {name: value for name, value in record["cost"].items() if "seconds" not in name and "memory" not in name}
    return json.dumps({**record, "curve": curve, "cost": cost, "provenance": None, "attempts": None})


class Trial:
    """The suite, its undisturbed run, and checkpoints of runs that were broken off."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.suite = folder, suite(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        ended = run(["run", str(self.suite), "--results", str(folder / "whole"), "--quiet"], folder, seconds=300)
        if ended.code != 0:
            raise RuntimeError(f"the run does not work undisturbed: {ended.err}")
        self.whole = comparable(self.record(folder / "whole"))
        self.broken_off = [
            self._broken_off(folder / f"broken-{i}", checkpoints) for i, checkpoints in enumerate((1, 2, 3))
        ]

    def record(self, results: Path) -> dict[str, Any]:
        (file,) = (results / "trial").glob(f"*--grpo--*/seed-{SEED}.json")
        return json.loads(file.read_bytes())

    def checkpoint(self, results: Path) -> Path:
        (cell,) = (results / "trial").glob("*--grpo--*")
        return cell / f"seed-{SEED}.checkpoint"

    def _broken_off(self, results: Path, checkpoints: int) -> Path:
        """Results in which the last of so many checkpoints was left, as SIGKILL leaves it."""
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            for handle in (1, 2):
                os.dup2(os.open(self.folder / f"{results.name}.txt", os.O_WRONLY | os.O_CREAT), handle)
            from haepo_bench.cli.main import program

            os._exit(program(["run", str(self.suite), "--results", str(results), "--quiet"]))
        seen: set[int] = set()
        while len(seen) < checkpoints:
            if os.waitpid(child, os.WNOHANG)[0]:
                raise RuntimeError(f"{results} was finished before its checkpoint {checkpoints}")
            found = list((results / "trial").glob("*--grpo--*/seed-*.checkpoint"))
            seen |= {path.stat().st_ino for path in found if path.exists()}
            time.sleep(0.001)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return results


def _state(path: Path) -> tuple[int, ...]:
    """What tells whether a file was changed or replaced; looking at it moves the time of its last reading alone."""
    stat = os.lstat(path)
    return (stat.st_mode, stat.st_ino, stat.st_dev, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def use(trial: Trial, number: int, place: Path, seed: int) -> tuple[str, str, list[str]]:
    """Damages one checkpoint and starts its run again: what was done, how it ended, and which promises were broken."""
    rng = random.Random(f"{seed} {number}")
    results, broken = place / "results", []
    shutil.copytree(rng.choice(trial.broken_off), results)
    path = trial.checkpoint(results)
    unreadable = rng.random() < 0.2
    what = rng.choice(sorted(set(SPECIAL) - {"larger than memory"})) if unreadable else rng.choice(sorted(DAMAGES))
    data = path.read_bytes()
    spoiled = data if unreadable else DAMAGES[what](data, rng)
    if unreadable:
        replace(path, what)
    else:
        path.write_bytes(spoiled)
    before = _state(path)

    def promise(kept: bool, says: str) -> None:
        if not kept:
            broken.append(says)

    ended = run(["run", str(trial.suite), "--results", str(results), "--quiet"], place, seconds=300)
    logs = "".join(log.read_text() for log in (results / "trial" / "logs").rglob("*.log"))
    said = ended.out + ended.err + logs
    promise("Traceback" not in said and "weights_only" not in said, f"what was said: {said[-1000:]}")
    promise(not list(trial.folder.rglob("executed")) and not Path("executed").exists(), "code was executed")
    if unreadable:
        promise(ended.code == 4 and str(path) in ended.err, f"run ended with {ended.code}: {ended.err}")
        promise(_state(path) == before, "what cannot be read was changed")
        return what, str(ended.code), broken
    promise(ended.code == 0, f"run ended with {ended.code}: {ended.err}")
    if ended.code != 0:
        return what, str(ended.code), broken
    record = trial.record(results)
    promise(comparable(record) == trial.whole, "the record is not that of an undisturbed run")
    promise(not path.exists(), "a checkpoint was left")
    kept = [file.read_bytes() for file in path.parent.glob("*.damaged")]
    if spoiled == data:
        promise(
            kept == [] and len(record["provenance"].get("resumed", [])) == 1, "a good checkpoint was not gone on from"
        )
        return what, "went on", broken
    promise(kept == [spoiled], "the damaged checkpoint was not kept")
    promise("resumed" not in record["provenance"], "the record says that it went on from a damaged checkpoint")
    promise(len(record["provenance"].get("checkpoints_put_aside", [])) == 1, "the record does not name it once")
    promise(logs.count("starts from its beginning") == 1, "the log does not name it once")
    return what, "from its beginning", broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="N", help="this checkpoint alone")
    arguments = parser.parse_args()
    numbers = range(arguments.checkpoints) if arguments.only is None else [arguments.only]
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    failures = 0
    import haepo_bench.cli.main  # noqa: F401  # before any fork

    with tempfile.TemporaryDirectory() as name:
        trial = Trial(Path(name))
        for number in numbers:
            place = Path(name) / f"checkpoint-{number}"
            place.mkdir()
            what, how, broken = use(trial, number, place, arguments.seed)
            table[what][how] += 1
            failures += len(broken)
            for promise in broken:
                print(f"checkpoint {number} ({what}): {promise}", flush=True)
            shutil.rmtree(place)
    print("\n| damage | checkpoints | the run |\n|---|---:|---|")
    for what, counts in sorted(table.items()):
        print(f"| {what} | {counts.total()} | {', '.join(f'{how}: {n}' for how, n in sorted(counts.items()))} |")
    print(f"\n{len(numbers)} checkpoints, {failures} promises broken")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
