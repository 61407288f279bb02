"""Throws broken suites at `haepo-bench validate` and counts what becomes of them.

    python trials/fuzz_suites.py [--suites 1000] [--seed 0] [--keep FOLDER]

Each is a shipped suite with one to four mutations, drawn from the seed and its number: of its text (characters, lines,
indentation, brackets, missing spaces, tags, escape sequences) or of its data (odd values, keys misspelt, moved or
removed, addresses and hyper-parameters nearly right). Nothing is trained, and nothing is asked for on a network.

What must hold: the exit code is 0 or 4; no traceback; every problem names the file, and the line where there is one; no
control character reaches the terminal; nothing takes longer than LIMIT seconds. Exit code 1 where something did not.
"""

import argparse
import copy
import io
import os
import re
import signal
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import yaml

from haepo_bench.cli.main import program
from haepo_bench.suite.shipped import list_suites

#: Seconds.
LIMIT = 30.0
NAME = "mutated.yaml"

Draw = np.random.Generator
Path_ = tuple[str | int, ...]

_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, 2, 10**12 + 1, -(10**30), 1e308, float("nan"), float("inf"), "", " ", "x", "auto",
    "0", "1e3", "10**9", "~", "null", "yes", "1:30", "2026-01-01", "../../etc/passwd", "/dev/stdin", "a/b", "..", "-",
    "x" * 300, "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x07\x08", "\u202egnp.exe", "a\nb", "a\tb",
    "é漢字", "\U0001f600",
    "{a:b}", "%s%n", "{0}", "$HOME", "`id`", "!!python/object:os.system", "*", "[", [], {}, [[]], [None], [{}],
    {"a": {}},
    [1, 2, 3], ["a", "a"], {"": 1}, {"x": [{"y": "z"}]}, list(range(100)),
)  # fmt: skip
_ADDRESSES = (
    "bandit", "bandit/", "/10-arm", "bandit/11-arm", "Bandit/10-arm", "CartPole-v1", "gym/CartPole", "gym/CartPole-v9",
    "gym/cartpole-v1", "gym/Blackjack-v1", "gym/", "gym/../../x", "gym/os:system", "random-walk/-1", "random-walk/0",
    "random-walk/1e9", "corridor/3.5", "deep-sea/999999", "noise(gym/CartPole-v1)", "noise(gym/CartPole-v1,)",
    "noise(gym/CartPole-v1,nan)", "noise(bandit/10-arm,1e99)", "noise(noise(noise(bandit/10-arm,1),1),1)", "window(",
    "nose(bandit/10-arm,1)", "normalised(bandit/10-arm)", "delayed()", "()", "lm/arithmetic@", "lm/arithmetic@./gone",
    "lm/arithmetic@gone.py", "lm/preferences", "lm/preferences/gone.jsonl", "lm/none", "lm/long-horizon/7",
)  # fmt: skip
_ALGORITHMS = ("GRPO", "gpro", "haepo", "haepo-", "ppo2", "PPO", "reinforce ", "sac", "rl", "haepo_weighted", "", "a/b")
_PARAMETERS = ("lr", "LR", "learning-rate", "epoch", "batch", "gamma", "beta", "clip", "hidden", "n_env", "seed", "x y")
_INSERTS = (
    "\t", "  ", ":", ": ", "- ", "{", "}", "[", "]", ",", "#", "'", '"', "|", ">", "&a ", "*a", "!!int ", "!x ", "<<: ",
    "---\n", "...\n", "%YAML 9\n", "? ", "\\", "\x00", "\x1b[2J", "\x85", "\u2028", "\ufeff", "\u202e", "\r", "\r\n",
    "é",
    '"\\e[31m"', '"\\a"', '"\\u202e"', "NaN", ".inf", "0x", "1_000", "=", "@", "`", "%",
)  # fmt: skip


def mutated(text: str, draw: Draw) -> str:
    """A suite with one to four mutations."""
    for _ in range(min(int(draw.geometric(0.5)), 4)):
        if draw.random() < 0.35:
            text = _of_text(text, draw)
            continue
        try:
            data = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            text = _of_text(text, draw)
            continue
        if isinstance(data, dict) and data:
            data = copy.deepcopy(data)
            _choice(draw, _MUTATIONS)(data, draw)
            text = yaml.safe_dump(data, allow_unicode=bool(draw.random() < 0.5), sort_keys=False)
    return text


def _of_text(text: str, draw: Draw) -> str:
    lines = text.split("\n")
    row = int(draw.integers(len(lines)))
    place = int(draw.integers(len(text) + 1))
    kind = int(draw.integers(9))
    if kind == 0:
        return text[:place] + _choice(draw, _INSERTS) + text[place:]
    if kind == 1:
        return text[:place] + text[place + int(draw.integers(1, 20)) :]
    if kind == 2:
        del lines[row]
    elif kind == 3:
        lines.insert(row, lines[int(draw.integers(len(lines)))])
    elif kind == 4:
        lines[row] = " " * int(draw.integers(1, 4)) + lines[row]
    elif kind == 5:
        lines[row] = lines[row].lstrip()
    elif kind == 6:
        lines[row] = lines[row].replace(": ", ":", 1)
    elif kind == 7:
        return text[:place]
    else:
        lines[row] = lines[row].swapcase()
    return "\n".join(lines)


def _odd_value(data: dict[str, Any], draw: Draw) -> None:
    container, key = _place(data, draw)
    container[key] = copy.deepcopy(_choice(draw, _ODD))


def _removed(data: dict[str, Any], draw: Draw) -> None:
    container, key = _place(data, draw)
    del container[key]


def _renamed(data: dict[str, Any], draw: Draw) -> None:
    """A key misspelt."""
    container, key = _place(data, draw)
    if not isinstance(container, dict) or not isinstance(key, str) or not key:
        return
    at = int(draw.integers(len(key)))
    new = _choice(draw, (key.upper(), key[:at] + key[at + 1 :], key + "s", f"{key}\x1b[31m", key.replace("_", "-")))
    container[new] = container.pop(key)


def _added(data: dict[str, Any], draw: Draw) -> None:
    container, _ = _place(data, draw)
    if isinstance(container, dict):
        container[str(_choice(draw, (*_PARAMETERS, "budget", "tasks", "\x1b[2J", "a:b")))] = _choice(draw, _ODD)
    else:
        container.append(_choice(draw, _ODD))


def _moved(data: dict[str, Any], draw: Draw) -> None:
    """One value in place of another."""
    (a, i), (b, j) = _place(data, draw), _place(data, draw)
    b[j] = copy.deepcopy(a[i])


def _task(data: dict[str, Any], draw: Draw) -> None:
    tasks = data.get("tasks")
    if isinstance(tasks, list) and tasks:
        tasks[int(draw.integers(len(tasks)))] = _choice(draw, _ADDRESSES)


def _algorithm(data: dict[str, Any], draw: Draw) -> None:
    algorithms = data.get("algorithms")
    if isinstance(algorithms, list) and algorithms:
        algorithms[int(draw.integers(len(algorithms)))] = _choice(draw, _ALGORITHMS)


def _parameter(data: dict[str, Any], draw: Draw) -> None:
    algorithms = data.get("algorithms")
    if isinstance(algorithms, list) and algorithms:
        at = int(draw.integers(len(algorithms)))
        entry = algorithms[at] if isinstance(algorithms[at], dict) else {"use": algorithms[at]}
        params = entry.get("params")
        entry["params"] = {
            **(params if isinstance(params, dict) else {}),
            _choice(draw, _PARAMETERS): _choice(draw, _ODD),
        }
        algorithms[at] = entry


_MUTATIONS: tuple[Callable[[dict[str, Any], Draw], None], ...] = (
    _odd_value, _odd_value, _removed, _renamed, _added, _moved, _task, _algorithm, _parameter,
)  # fmt: skip


def _choice(draw: Draw, options: tuple[Any, ...]) -> Any:
    return options[int(draw.integers(len(options)))]


def _place(data: dict[str, Any], draw: Draw) -> tuple[Any, Any]:
    """A container within the data, and a key or an index of it."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            walk(value[key])

    walk(data)
    return places[int(draw.integers(len(places)))] if places else ({"": None}, "")


class Answer(NamedTuple):
    """What `validate` did with a suite."""

    code: int
    said: str
    seconds: float
    hung: bool


class _TooLong(BaseException):
    """Not an Exception: nothing on the way catches it."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def validated(path: Path) -> Answer:
    """Runs `haepo-bench validate` in this process."""
    out, started, hung = io.StringIO(), time.monotonic(), False
    code = -1
    with redirect_stdout(out), redirect_stderr(out):
        try:
            with _at_most(LIMIT):
                code = program(["validate", str(path)])
        except _TooLong:
            hung = True
    seconds = time.monotonic() - started
    return Answer(code, out.getvalue(), seconds, hung or seconds >= LIMIT)


def problems_of(answer: Answer) -> list[str]:
    """The lines that say what is wrong, without remedies and the line that counts them."""
    lines = answer.said.removeprefix("error: ").splitlines()
    skipped = re.compile(r"  |\d+ problems in the suite$|\.\.\. and \d+ more$")
    return [line for line in lines if not skipped.match(line)]


def violations(answer: Answer) -> list[str]:
    """What must not be."""
    found = []
    if answer.hung:
        found.append("hung")
    elif answer.code not in (0, 4):
        found.append(f"exit code {answer.code}")
    if "Traceback (most recent call last)" in answer.said:
        found.append("traceback")
    if any(_is_control(character) for character in answer.said):
        found.append("raw control character")
    if answer.code == 4 and not all(re.match(rf"{re.escape(NAME)}(:\d+)?: ", line) for line in problems_of(answer)):
        found.append("problem without a place")
    if answer.code == 4 and not answer.said.startswith("error: "):
        found.append("no error")
    return found


def _is_control(character: str) -> bool:
    return character != "\n" and (
        unicodedata.category(character) in {"Cc", "Cs"}
        or 0x202A <= ord(character) <= 0x202E
        or character in "\u2028\u2029"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzzes suites through `haepo-bench validate`.")
    parser.add_argument("--suites", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the suites that broke a rule, with what was said")
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    texts = {name: path.read_text(encoding="utf-8") for name, path in list_suites().items()}
    codes: Counter[int] = Counter()
    broken: Counter[str] = Counter()
    located = whole = 0
    slowest = (0.0, "")
    with TemporaryDirectory() as folder:
        os.chdir(folder)  # addresses name files by paths from here
        path = Path(folder, NAME)
        for number in range(arguments.suites):
            draw = np.random.default_rng([arguments.seed, number])
            name = _choice(draw, tuple(texts))
            text = mutated(texts[name], draw)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            answer = validated(path)
            codes[answer.code] += 1
            slowest = max(slowest, (answer.seconds, f"{number} ({name})"))
            places = (
                [re.match(rf"{re.escape(NAME)}:\d+: ", line) for line in problems_of(answer)] if answer.code else []
            )
            located += sum(place is not None for place in places)
            whole += sum(place is None for place in places)
            found = violations(answer)
            broken.update(found)
            if found:
                print(f"{number} ({name}): {', '.join(found)}", file=sys.stderr)
                if arguments.keep:
                    arguments.keep.mkdir(parents=True, exist_ok=True)
                    (arguments.keep / f"{number}.yaml").write_bytes(path.read_bytes())
                    (arguments.keep / f"{number}.txt").write_text(answer.said, encoding="utf-8", errors="replace")
    print(f"{arguments.suites} suites, seed {arguments.seed}")
    for code, count in sorted(codes.items()):
        print(f"  exit code {code}: {count}")
    print(f"  problems said: {located + whole}, of which {located} with their line, {whole} of the whole file")
    print(f"  slowest: {slowest[0]:.1f} s, suite {slowest[1]}")
    for what, count in sorted(broken.items()):
        print(f"  BROKEN {what}: {count}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
