"""Does the program keep its promises about results that are damaged? Damages stores at random and uses each.

    python trials/damaged_stores.py [--stores 500] [--seed 0] [--only N]

A complete suite of two cells with five runs each is copied beside a second, whole one, and damaged in one to three
places: contents (bits, blocks, values, versions), things that cannot be read in a file's or folder's place, files lost
or mixed up, leftovers, too few open files. Then every command that reads results is run, `run` itself, and `report`
once more. For each store:

- no command hangs, ends with exit code 70, or shows a traceback;
- commands that read change nothing, and end with 4 exactly where something could not be read;
- runs that were not touched are shown by the report, and after `run` are byte for byte what they were;
- whatever content had been stored is still there after `run`, under its name or beside it as `.damaged`;
- where something that `run` needs could not be read it trains nothing, changes nothing and ends with 4;
- where `run` ends with 0, all runs are there, and those that were made again are equal to the lost ones, clocks apart.

Prints a table of kinds of damage and how `report` and `run` ended, and every broken promise with its store's number.
Exit code 1 where one was broken.
"""

import argparse
import collections
import contextlib
import hashlib
import io
import json
import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from damage import CONTENTS, SPECIAL, replace
from forked import Ended, run

SEEDS = 5
CLOCKS = ("wall_seconds", "cpu_seconds")

PLUGIN = """
import numpy as np
from haepo_bench.results.record import Information
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition
from haepo_bench.training.seed_record import Evaluation

class Drawn(Algorithm):
    batches_seeds = False
    notes = ()
    information = Information(told="returns", critic=False, discount=None, label="drawn")
    parameters = {}

    def train(self, task, seeds, recorder, *, device):
        for seed in seeds:
            generator = np.random.default_rng(seed)
            while seed in recorder.live:
                recorder.collected(seed, 10, 1, {"loss": float(generator.random())})
                for due, _ in recorder.due():
                    recorder.evaluated(due, Evaluation(float(generator.random()), 0.0, 1.0, 5))

class Definition(AlgorithmDefinition):
    name, summary, version, description = "drawn", "draws its returns", 1, "Draws its returns."

    def describe_parameters(self):
        return []

    def refuses(self, task):
        return None

    def configure(self, overrides, task):
        return Drawn()
"""


class Damage(NamedTuple):
    """One thing that was done to a store.

    Args:
        what: as the table names it.
        path: that it was done to, relative to the results.
        unreadable: that it cannot be read, as far as reports go and as far as `run` does.
    """

    what: str
    path: Path
    unreadable: bool = False
    stops_run: bool = False


def make_whole(folder: Path) -> Path:
    """The suite file and, below `results`, its complete runs; a second suite, a baseline."""
    site = folder / "site"
    information = site / "drawn-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "drawn_plugin.py").write_text(PLUGIN)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: drawn\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[haepo_bench.algorithms]\ndrawn = drawn_plugin:Definition\n")
    sys.path.insert(0, str(site))
    for name in ("trial", "second"):
        document = {
            "name": name,
            "seeds": SEEDS,
            "evaluation": {"every": 50, "episodes": 2},
            "tasks": [{"id": "random-walk/20", "budget": {"env_steps": 100}}],
            "algorithms": [{"use": "drawn", "name": "one"}, {"use": "drawn", "name": "two"}],
            "execution": {"workers": 2, "device": "cpu"},
        }
        (folder / f"{name}.yaml").write_text(json.dumps(document))
    from haepo_bench.cli.main import program

    results = str(folder / "whole")
    # In this process, so that whatever a command loads is there in every fork.
    commands = [["run", str(folder / f"{name}.yaml"), "--results", results, "--quiet"] for name in ("trial", "second")]
    trial, baseline = str(folder / "whole" / "trial"), str(folder / "baseline.json")
    recording = ["--reason", "campaign", "--min-seeds", str(SEEDS), "--allow-dirty"]
    commands += [
        ["baseline", trial, "--out", baseline, *recording],
        ["report", results, "--out", str(folder / "page")],
        ["report", results, "--format", "json"],
        ["export", results, "--out", str(folder / "tables")],
        ["compare", trial, trial],
        ["check", trial, "--baseline", baseline],
    ]
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), contextlib.redirect_stderr(io.StringIO()):
        for arguments in commands:
            if program(arguments) != 0:
                raise RuntimeError(f"haepo-bench {' '.join(arguments)} does not work on whole results")
    return folder


def damages(results: Path, rng: random.Random) -> Iterator[Damage]:
    """Damages the store below `results` in one to three places, none within another."""
    trial = results / "trial"
    cells = sorted(trial.glob("*--*"))
    touched: list[Path] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        act = rng.choice(_ACTS)
        done = act(trial, cells, rng, lambda path: _taken(path, touched))
        if done is not None:
            touched.append(done.path)
            yield done._replace(path=done.path.relative_to(results))


def _taken(path: Path, touched: list[Path]) -> bool:
    return any(path == one or path in one.parents or one in path.parents for one in touched)


Taken = Callable[[Path], bool]


def _contents(trial: Path, cells: list[Path], rng: random.Random, taken: Taken) -> Damage | None:
    path = rng.choice([*rng.choice(cells).glob("seed-*.json"), trial / "plan.json"])
    if taken(path):
        return None
    what = rng.choice(sorted(CONTENTS))
    path.write_bytes(CONTENTS[what](path.read_bytes(), rng))
    return Damage(f"{_kind(path)}: {what}", path)


def _special(trial: Path, cells: list[Path], rng: random.Random, taken: Taken) -> Damage | None:
    # A cell that was damaged before may hold no run any more.
    runs = sorted(rng.choice(cells).glob("seed-*.json"))
    path = rng.choice((*([rng.choice(runs)] if runs else []), trial / "plan.json"))
    if taken(path):
        return None
    what = rng.choice(sorted(SPECIAL))
    replace(path, what)
    return Damage(f"{_kind(path)}: {what}", path, unreadable=True, stops_run=True)


def _cell(trial: Path, cells: list[Path], rng: random.Random, taken: Taken) -> Damage | None:
    path = rng.choice(cells)
    if taken(path):
        return None
    what = rng.choice(("closed", "closed", "read only", "link to itself", "link to nothing", "named pipe", "lost"))
    if what == "closed":
        path.chmod(0)
    elif what == "read only":
        path.chmod(0o555)
        return Damage(f"cell: {what}", path)
    elif what == "lost":
        shutil.rmtree(path)
        return Damage(f"cell: {what}", path)
    else:
        replace(path, what)
    return Damage(f"cell: {what}", path, unreadable=True, stops_run=True)


def _suite(trial: Path, cells: list[Path], rng: random.Random, taken: Taken) -> Damage | None:
    path = trial.parent / "second"
    if taken(path):
        return None
    what = rng.choice(("closed", "link to itself", "link to nothing"))
    if what == "closed":
        path.chmod(rng.choice((0, 0o100, 0o200)))
    else:
        replace(path, what)
    return Damage(f"another suite: {what}", path, unreadable=True)


def _lost(trial: Path, cells: list[Path], rng: random.Random, taken: Taken) -> Damage | None:
    path = rng.choice([*rng.choice(cells).glob("seed-*.json"), trial / "plan.json", trial / ".lock", trial / "logs"])
    if taken(path):
        return None
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Damage(f"{_kind(path)}: lost", path)


def _mixed_up(trial: Path, cells: list[Path], rng: random.Random, taken: Taken) -> Damage | None:
    one, two = rng.sample(sorted(path for cell in cells for path in cell.glob("seed-*.json")), 2)
    if taken(one) or taken(two):
        return None
    two.unlink()
    shutil.copy(one, two)
    return Damage("run: mixed up", two)


def _leftover(trial: Path, cells: list[Path], rng: random.Random, taken: Taken) -> Damage | None:
    names = (".seed-0.json.abcdefgh", "seed-0.checkpoint", ".seed-1.checkpoint.12345678", "notes.json", "seed-99.json")
    path = rng.choice(cells) / rng.choice((*names, "seed-0.npz", "caf\udce9.json", "a\nb.json"))
    if taken(path) or not os.access(path.parent, os.W_OK) or path.is_symlink() or path.exists():
        return None
    what = rng.choice(("content", *sorted(SPECIAL)))
    if what == "content":
        path.write_bytes(rng.randbytes(100))
    else:
        replace(path, what)
    listed = path.suffix == ".json" and not path.name.startswith(".")
    return Damage(f"beside runs: {what}", path, unreadable=listed and what != "content")


def _log(trial: Path, cells: list[Path], rng: random.Random, taken: Taken) -> Damage | None:
    path = rng.choice((trial / "logs", trial / ".lock", trial / "logs" / rng.choice(cells).name / "seed-0.log"))
    if taken(path):
        return None
    what = rng.choice(("named pipe", "socket", "device", "link to itself"))
    replace(path, what)
    return Damage(f"{_kind(path)}: {what}", path, stops_run=path.name == ".lock")


_ACTS = (_contents,) * 4 + (_special,) * 4 + (_cell, _cell, _suite, _lost, _mixed_up, _leftover, _leftover, _log)


def _kind(path: Path) -> str:
    return {"plan.json": "plan", ".lock": "lock", "logs": "logs"}.get(
        path.name, "log" if path.suffix == ".log" else "run"
    )


def content(folder: Path) -> dict[Path, str]:
    """What stands below a folder: the hash of a file, the kind of anything else; as root sees it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        small = path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 30
        found[path.relative_to(folder)] = hashlib.sha256(path.read_bytes()).hexdigest() if small else f"{mode:o}"
    return found


class Store:
    """One damaged store, and what the program makes of it."""

    def __init__(self, number: int, whole: Path, folder: Path, seed: int) -> None:
        self.number, self.whole, self.folder = number, whole, folder
        self.results = folder / "results"
        shutil.copytree(whole / "whole", self.results, symlinks=True)
        rng = random.Random(f"{seed} {number}")
        self.damages = list(damages(self.results, rng))
        # Of open files: too few for anything, or for a worker.
        self.files = rng.choice((1, 2, 4)) if rng.random() < 0.05 else None
        self.broken: list[str] = []
        self.untouched = {
            path.relative_to(self.results)
            for path in (whole / "whole" / "trial").glob("*--*/seed-*.json")
            for path in (self.results / path.relative_to(whole / "whole"),)
            if not any(path == one or one in path.parents for one in (self.results / d.path for d in self.damages))
        }
        self.unreadable = any(damage.unreadable for damage in self.damages)
        self.codes: dict[str, int | None] = {}

    def use(self) -> None:
        """All commands, and every promise about them."""
        before = content(self.results)
        self._read("before")
        self.promise(content(self.results) == before, "commands that only read changed something")
        done = self._command("run", "run", str(self.whole / "trial.yaml"), "--results", str(self.results), "--quiet")
        after = content(self.results)
        self._after_run(done, before, after)
        if self.files is None:
            self._read("after")

    def promise(self, kept: bool, what: str) -> None:
        if not kept:
            self.broken.append(what)

    def _command(self, name: str, *arguments: str) -> Ended:
        ended = run(arguments, self.folder, files=self.files)
        self.codes[name] = ended.code
        self.promise(ended.code is not None, f"{name} hung")
        self.promise(ended.code in (0, 1, 2, 3, 4, None), f"{name} ended with {ended.code}: {ended.err[-300:]}")
        self.promise("Traceback" not in ended.out + ended.err, f"{name} showed a traceback: {ended.err[-500:]}")
        return ended

    def _read(self, when: str) -> None:
        trial, out = str(self.results / "trial"), str(self.folder / f"out-{when}")
        whole = str(self.whole / "whole" / "trial")
        report = self._command(f"report {when}", "report", str(self.results), "--format", "json")
        others = {
            "export": ["export", str(self.results), "--out", out],
            "compare": ["compare", whole, trial],
            "check": ["check", trial, "--baseline", str(self.whole / "baseline.json")],
        }
        ended = {"report": report, **{name: self._command(name, *args) for name, args in others.items()}}
        if self.files is not None:
            return
        if when == "before":
            second = all(d.path.parts[0] == "second" for d in self.damages if d.unreadable)
            for name, one in ended.items():
                expected = self.unreadable and not (second and name in ("compare", "check"))
                self.promise(
                    (one.code == 4) == expected, f"{name} ended with {one.code}; unreadable: {expected}: {one.err}"
                )
        if report.code in (0, 4) and report.out.startswith("{"):
            self._shown(json.loads(report.out))
        else:
            self.promise(not self.untouched or not self._plan_is_whole(), f"nothing was shown: {report.err[-300:]}")

    def _plan_is_whole(self) -> bool:
        return not any(damage.path.name == "plan.json" for damage in self.damages)

    def _shown(self, document: dict[str, Any]) -> None:
        if not self._plan_is_whole():
            return
        shown = {
            (result["algorithm"], seed)
            for suite in document["suites"]
            if suite["suite"] == "trial"
            for task in suite["tasks"]
            for result in task["algorithms"]
            for seed in result["seeds"]["shown"]
        }
        for path in self.untouched:
            name, seed = path.parts[1].split("--")[1], int(re.findall(r"\d+", path.name)[0])
            self.promise((name, seed) in shown, f"{path} was not shown")

    def _after_run(self, done: Ended, before: dict[Path, str], after: dict[Path, str]) -> None:
        trial = self.results / "trial"
        for path in self.untouched:
            self.promise(after.get(path) == before[path], f"{path} was changed")
        kept = collections.Counter(after.values())
        for path, stored in before.items():
            ours = path.name in (".lock", "plan.json") or path.suffix == ".log" or path.name.startswith(".seed-")
            ours |= path.suffix == ".checkpoint"
            if path.parts[0] == "trial" and not ours:
                self.promise(kept[stored] >= 1, f"{path} was lost")
        plan = Path("trial", "plan.json")
        damaged_plan = any(d.path == plan and "lost" not in d.what for d in self.damages)
        if damaged_plan and done.code == 0:
            valid = json.loads((self.results / plan).read_text())["suite"] == "trial"
            self.promise(valid, "the plan was not put right")
        if any(damage.stops_run for damage in self.damages):
            self.promise(done.code == 4, f"run ended with {done.code} where something cannot be read: {done.err}")
            same = {path: stored for path, stored in after.items() if path.name != ".lock"} == {
                path: stored for path, stored in before.items() if path.name != ".lock"
            }
            self.promise(same, "run changed something where something cannot be read")
        if done.code == 0:
            for path in (self.whole / "whole" / "trial").glob("*--*/seed-*.json"):
                made = trial / path.relative_to(self.whole / "whole" / "trial")
                again = made.relative_to(self.results) not in before or after.get(
                    made.relative_to(self.results)
                ) != before.get(made.relative_to(self.results))
                if again:
                    self.promise(_timeless(made) == _timeless(path), f"{made} was not made again as it was")
                self.promise(made.is_file(), f"{made} is not there after a run that ended with 0")


def _timeless(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_bytes())
    curve = {name: column for name, column in document["curve"].items() if name not in CLOCKS}
    cost = {name: value for name, value in document["cost"].items() if "seconds" not in name and "memory" not in name}
    return {**document, "curve": curve, "cost": cost, "provenance": None}


def campaign(stores: range, seed: int) -> int:
    """Damages and uses stores; how many promises were broken."""
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    broken = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = make_whole(folder / "made")
        for number in stores:
            place = folder / f"store-{number}"
            place.mkdir()
            store = Store(number, whole, place, seed)
            store.use()
            few = ["few open files"] if store.files is not None else []
            for what in {damage.what for damage in store.damages} | set(few) or {"nothing"}:
                table[what]["stores"] += 1
                table[what][f"report {store.codes.get('report before')}"] += 1
                table[what][f"run {store.codes.get('run')}"] += 1
            for promise in store.broken:
                print(
                    f"store {number} ({', '.join(f'{d.what}: {d.path}' for d in store.damages)}): {promise}", flush=True
                )
            broken += len(store.broken)
            for path in (place, *place.rglob("*")):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o700)
            shutil.rmtree(place)
    print("\n| damage | stores | `report` ended with | `run` ended with |\n|---|---:|---|---|")
    for what, counts in sorted(table.items()):
        ends = [
            ", ".join(f"{k.split()[1]}: {n}" for k, n in sorted(counts.items()) if k.startswith(c))
            for c in ("rep", "run")
        ]
        print(f"| {what} | {counts['stores']} | {ends[0]} | {ends[1]} |")
    print(f"\n{len(stores)} stores, {broken} promises broken")
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stores", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="N", help="this store alone")
    arguments = parser.parse_args()
    one = arguments.only
    stores = range(arguments.stores) if one is None else range(one, one + 1)
    sys.exit(1 if campaign(stores, arguments.seed) else 0)


if __name__ == "__main__":
    main()
