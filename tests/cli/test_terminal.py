"""What other people wrote reaches the terminal as text alone, and nothing is printed but by terminal.py."""

import ast
import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from cli_support import ROOT, run_apart, run_here
from execution_support import Workplace
from hypothesis import example, given
from hypothesis import strategies as st
from synthetic_runs import put, record, showcase

import haepo_bench
from haepo_bench.results.store import Store
from haepo_bench.text import plain, visible

#: Colours, a title, a cursor that moves up, an 8-bit control sequence, a line that reads backwards, nothing, a tag.
EVIL = "evil\x1b[31m\x1b]0;owned\x07\x08\r\x9b2A\u202e\u200b\u2066\U000e0041\x7f"
PACKAGE = Path(haepo_bench.__file__).parent
#: What a worker prints goes to its log; text of documents is made by rich in memory.
WORKERS = {
    "training/resuming.py",  # a worker's log says where a run goes on
    "execution/worker.py",
    "execution/checkpoints.py",
    "training/language/start.py",
    "training/language/trainer.py",
    "training/recorder.py",
}


def dirty(text: str) -> list[str]:
    return [c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


def prints(path: Path) -> list[str]:
    """Every way to a stream that a file names."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = ast.unparse(node.func)
            if name != "echo" and re.fullmatch(r"print|input|Console|(\w+\.)*(s?echo|print_exc\w*)", name):
                found.append(name)
        elif isinstance(node, ast.Attribute) and re.fullmatch(r"sys\.(__)?std(out|err)(__)?", ast.unparse(node)):
            found.append(ast.unparse(node))
    return found


def test_nothing_is_printed_past_the_terminal_module() -> None:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in {"terminal.py", *WORKERS} and prints(path):
            found[name] = prints(path)
    # Flushed before the program ends; a document as text; said while the package is built.
    assert found.keys() == {"cli/main.py", "compare/writers.py", "engine/build.py"}
    assert found["cli/main.py"] == ["sys.stdout"]
    assert found["compare/writers.py"] == ["Console"]
    assert prints(PACKAGE / "terminal.py")


@given(st.text())
@example("\x80\u200c")  # a joiner after what is shown as Latin characters
def test_visible_text_has_no_control_characters(text: str) -> None:
    shown = visible(text)
    assert not [c for c in dirty(shown) if c not in "\u200c\u200d"]
    assert visible(shown) == shown
    assert "\n" not in plain(text)
    if not dirty(text) and "\ufffe" not in text and "\uffff" not in text:
        assert shown == text or any(ord(c) & 0xFFFE == 0xFFFE for c in text)


def write_suite(folder: Path, name: str = "suite.yaml", **changes: object) -> Path:
    document: dict[str, object] = {
        "name": "trial",
        "description": EVIL,
        "seeds": 2,
        "budget": {"env_steps": 200},
        "evaluation": {"every": 100},
        "tasks": ["bandit/10-arm"],
        "algorithms": ["reinforce"],
        **changes,
    }
    path = folder / name
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


SUITES: dict[str, Callable[[Path], Path]] = {
    "description": lambda folder: write_suite(folder),
    "file name": lambda folder: write_suite(folder, f"{EVIL.replace(chr(0), '')}.yaml"),
    "unknown key": lambda folder: write_suite(folder, **{EVIL: 1}),
    "unknown key inside": lambda folder: write_suite(folder, budget={"env_steps": 100, EVIL: 1}),
    "name": lambda folder: write_suite(folder, name=EVIL),
    "task": lambda folder: write_suite(folder, tasks=[f"bandit/{EVIL}"]),
    "family": lambda folder: write_suite(folder, tasks=[f"{EVIL}/x"]),
    "environment": lambda folder: write_suite(folder, tasks=[f"gym/{EVIL}"]),
    "wrapper": lambda folder: write_suite(folder, tasks=[f"noise(bandit/10-arm,{EVIL})"]),
    "algorithm": lambda folder: write_suite(folder, algorithms=[EVIL]),
    "algorithm's name": lambda folder: write_suite(folder, algorithms=[{"use": "reinforce", "name": EVIL}]),
    "parameter": lambda folder: write_suite(folder, algorithms=[{"use": "reinforce", "params": {EVIL: 1}}]),
    "value": lambda folder: write_suite(folder, algorithms=[{"use": "reinforce", "params": {"learning_rate": EVIL}}]),
    "seeds": lambda folder: write_suite(folder, seeds=EVIL),
    "claims": lambda folder: write_suite(folder, claims={"candidate": EVIL}),
    "device": lambda folder: write_suite(folder, execution={"device": EVIL}),
    "timeout": lambda folder: write_suite(folder, execution={"timeout": EVIL}),
    "alias": lambda folder: _raw(folder, f"name: *{EVIL}\n"),
    "tag": lambda folder: _raw(folder, f"name: !<{EVIL}> x\n"),
    "text": lambda folder: _raw(folder, EVIL),
    "bytes": lambda folder: _raw(folder, "name: \udcff\x1b[31m\n"),
}


def _raw(folder: Path, text: str) -> Path:
    path = folder / "raw.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


#: Places whose content no message repeats.
NOT_REPEATED = {"text", "bytes", "alias", "tag", "seeds", "value"}


@pytest.mark.parametrize("place", SUITES)
def test_suites_cannot_speak_to_the_terminal(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = SUITES[place](tmp_path)
    for command in (["validate", str(suite)], ["run", str(suite), "--dry-run"], ["validate", str(suite), "--debug"]):
        code, out, err = run_here(capsys, *command)
        assert code in (0, 4)
        assert not dirty(out + err)
        if place not in NOT_REPEATED and command[0] == "validate":
            assert r"\x1b" in out + err


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", EVIL],
        ["describe", EVIL],
        ["describe", f"gym/{EVIL}"],
        [EVIL],
        ["list", EVIL],
        ["report", EVIL],
        ["report", "runs", f"--{EVIL}"],
        ["compare", EVIL, EVIL],
        ["export", EVIL],
        ["check", "runs", "--baseline", EVIL],
        ["check", "runs", "--baseline", "runs/baseline.json", "--write", EVIL],
        ["baseline", "runs", "--out", "b.json", "--reason", EVIL, "--min-seeds", "2", "--allow-dirty"],
        ["gate", "quickstart", "--baseline", EVIL],
        ["import", EVIL],
        ["init", f"{EVIL}.yaml"],
        ["validate", "quickstart", "--only", EVIL],
        ["validate", "quickstart", "--set", EVIL],
        ["validate", "quickstart", "--set", f"{EVIL}=1"],
        ["validate", "quickstart", "--set", f"seeds={EVIL}"],
        ["doctor", "--results", EVIL],
        ["import", "table.csv", "--suite", EVIL],
        ["import", "table.csv", "--suite", "s", "--task", EVIL, "--algorithm", EVIL],
        ["import", "table.csv", "--suite", "s", "--task", "a/b", "--algorithm", "a", "--seed", "0"],
        ["import", "mapping.yaml"],
        ["import", f"{EVIL}.csv", "--suite", "s", "--task", "a/b", "--algorithm", "a", "--seed", "0"],
    ],
    ids=lambda arguments: " ".join(arguments).replace(EVIL, "EVIL"),
)
def test_arguments_and_imported_files_cannot_speak_to_the_terminal(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "table.csv").write_text(f"{EVIL.replace(chr(13), '')},env_steps\n{EVIL.replace(chr(13), '')},1\n")
    (tmp_path / f"{EVIL}.csv").write_text("env_steps,eval_return\n0,1\n100,x\n")
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"suite": "s", EVIL: 1, "sources": [{"files": EVIL}]}))
    _, out, err = run_here(capsys, *arguments)
    assert not dirty(out + err)
    assert out + err


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex"])
def test_stored_runs_cannot_speak_to_the_terminal(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    showcase(tmp_path / "runs", seeds=2, only=("bandit/10-arm",))
    store = Store(tmp_path / "runs" / "evil")
    hostile = record("bandit/10-arm", "ppo", 4).model_copy(
        update={"task": EVIL, "algorithm": EVIL, "suite": EVIL, "notes": [EVIL]}
    )
    put(store, hostile)
    (tmp_path / "runs" / f"{EVIL}").mkdir()
    (tmp_path / "runs" / f"{EVIL}" / "plan.json").write_text(json.dumps({"suite": EVIL, "cells": [{EVIL: EVIL}]}))
    commands = [["report", "runs", "--format", form]]
    if form == "md":
        commands += [["compare", "runs", "runs"], ["export", "runs", "--out", "tables"]]
    for command in commands:
        _, out, err = run_here(capsys, *command)
        assert not dirty(out.replace("\r\n", "\n") + err)


def test_a_run_that_fails_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    """On a pipe, and on a terminal where the program's own colours must stay."""
    workplace = Workplace(tmp_path)
    plugin = tmp_path / "site" / "scripted.py"
    plugin.write_text(plugin.read_text().replace("is unwell", EVIL.encode("unicode_escape").decode()))
    suite = workplace.suite([{"params": {"act": "raise", "at": [1]}}], description=EVIL[:-2])
    done = workplace.run(suite)
    assert done.returncode == 2
    assert not dirty(done.stdout + done.stderr)
    assert r"evil\x1b[31m" in done.stderr

    ours, theirs = pty.openpty()
    process = workplace.start(suite, "--retry-failed", stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(60) == 2
    text = shown.decode()
    assert r"evil\x1b[31m" in re.sub(r"\s", "", text)
    assert "\x1b[" in text
    for mark in ("\x1b[31m\\", "\x1b]", "\x9b", "\u202e", "\x08", "\x07"):
        assert mark not in text


def test_a_plugin_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    Workplace(tmp_path)
    site = tmp_path / "site"
    plugin = site / "scripted.py"
    evil = EVIL.encode("unicode_escape").decode()
    plugin.write_text(plugin.read_text().replace("does as told", evil).replace("Does as told.", evil))
    environment = {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    for command in (["list", "algorithms"], ["describe", "scripted"]):
        done = run_apart(*command, environment=environment)
        assert done.code == 0
        assert not dirty(done.out + done.err)
    assert r"evil\x1b[31m" in done.out


def test_completion_offers_no_name_that_speaks_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / f"mine{EVIL}.yaml").write_text("")
    (tmp_path / "mine.yaml").write_text("")
    words = {"COMP_WORDS": "haepo-bench validate mine", "COMP_CWORD": "2", "_HAEPO_BENCH_COMPLETE": "complete_bash"}
    done = run_apart(cwd=tmp_path, environment=words)
    assert done.out.split() == ["mine.yaml"]


def test_output_that_a_terminal_cannot_show_is_written_all_the_same(tmp_path: Path) -> None:
    write_suite(tmp_path, description="Größe 日本")
    done = subprocess.run(
        [sys.executable, "-m", "haepo_bench", "validate", "suite.yaml"],
        capture_output=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0
    assert rb"Gr\xf6\xdfe \u65e5\u672c" in done.stdout
