"""The program: commands, exit codes, what becomes of faults, pipes, completion."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_support import ROOT, run_apart, run_here, write_plugin

from haepo_bench import __version__, catalogue
from haepo_bench.cli import main as main_module
from haepo_bench.cli.layout import columns
from haepo_bench.errors import ExitCode, UserError
from haepo_bench.suite.shipped import list_suites
from haepo_bench.tasks.address import WRAPPERS

COMMANDS = ("run", "report", "init", "validate", "list", "describe", "clean", "doctor", "schema")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "--version") == (0, f"haepo-bench {__version__}\n", "")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(capsys, "--help")
    assert (code, err) == (0, "")
    assert all(command in out for command in COMMANDS)
    for command in COMMANDS:
        code, out, err = run_here(capsys, command, "--help")
        assert (code, err) == (0, "")
        assert "Usage" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["nonsense"],
        ["validate"],
        ["validate", "a", "b"],
        ["validate", "--nonsense", "quickstart"],
        ["validate", "quickstart", "--set"],
        ["list", "nonsense"],
        ["run", "quickstart", "--workers", "many"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(capsys, *arguments)
    assert (code, out) == (4, "")
    assert err.startswith("error: ")
    assert "--help" in err
    assert "Traceback" not in err


def test_no_arguments_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(capsys)
    assert (code, err) == (4, "")
    assert "validate" in out


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, everything, _ = run_here(capsys, "list")
    assert code == 0
    for kind, names in (
        ("algorithms", [*catalogue.ALGORITHMS, *catalogue.FAMILIES]),
        ("tasks", [entry.name for entry in (*catalogue.TASKS.values(), *catalogue.list_wrappers())]),
        ("suites", list(list_suites())),
    ):
        code, out, _ = run_here(capsys, "list", kind)
        assert code == 0
        assert out in everything
        listed = [line.split("  ")[1] for line in out.splitlines()]
        assert sorted(listed) == sorted(names)


@pytest.mark.parametrize("name", [*catalogue.ALGORITHMS, *catalogue.FAMILIES])
def test_describe_algorithm(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(capsys, "describe", name)
    assert (code, err) == (0, "")
    if name in catalogue.FAMILIES:
        assert all(member in out for member in catalogue.FAMILIES[name])
        return
    definition = catalogue.algorithm(name)
    assert definition.summary in out
    assert "critic" in out
    unwrapped = " ".join(out.split())
    for parameter in definition.describe_parameters():
        assert f"  {parameter.name} = " in out
        assert " ".join(parameter.meaning.split()) in unwrapped
        assert f"source: {' '.join(parameter.source.split())}" in unwrapped


@pytest.mark.parametrize("name", WRAPPERS)
def test_describe_wrapper(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(capsys, "describe", name)
    assert (code, err) == (0, "")
    assert WRAPPERS[name].summary in out
    example = out.split()[-1]
    code, out, err = run_here(capsys, "describe", example.replace("CartPole-v1", "Pendulum-v1"))
    assert (code, err) == (0, "")
    assert out.startswith(f"{name}(gym/Pendulum-v1")


def test_describe_task(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_here(capsys, "describe", "gym/CartPole-v1")
    assert code == 0
    assert "500 steps" in out
    assert "one of 2" in out
    assert re.search(r"1 at 475", out)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("haep", "'haepo'"), ("gpro", "'grpo'"), ("gym", "gym/<gymnasium id>"), ("bandit/9-arm", "10-arm"), ("", "known")],
)
def test_describe_nothing(name: str, suggestion: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(capsys, "describe", name)
    assert (code, out) == (4, "")
    assert suggestion in err


def test_validate_says_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(
        capsys, "validate", "quickstart", "--set", "algorithms[2].params.trajectories=32",
        "--set", "algorithms.2.name=wide", "--set", "algorithms.2.seeds=[3, 4, 5, 9]",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "21 cells" in out
    assert "50,000 training steps, evaluated every 5,000 with 20 episodes" in out
    assert "wide (grpo): 4 seeds (3-5, 9)\n      trajectories 32 (default 16)\n" in out
    # A default that only one task has is said with the task.
    assert "on gym/CartPole-v1: n_steps 32 (default 64)" in " ".join(out.split())
    assert "timeout 30 min per job" in out


def test_validate_part_of_a_suite(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_here(capsys, "validate", "quickstart", "--only", "bandit/*:dpo")
    assert code == 0
    assert "1 cell, 20 runs, 100,000 training steps" in out
    code, _, err = run_here(capsys, "validate", "quickstart", "--only", "bandit/*:dop")
    assert code == 4
    assert "--only bandit/*:dop: selects nothing" in err


def test_validate_says_how_a_suite_is_searched(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_here(capsys, "validate", "quickstart", "--set", "search.replicates=20")
    assert code == 0
    assert "search\n  20 replicates of 8 configurations on 2 tuning seeds each, searched for area\n" in out
    assert "haepo-bench tune quickstart --dry-run" in out
    assert "search\n" not in run_here(capsys, "validate", "quickstart").out


def test_init(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_here(capsys, "init").code == 0
    text = Path("suite.yaml").read_text()
    assert "name: suite\n" in text
    assert run_here(capsys, "validate", "suite.yaml").code == 0
    code, _, err = run_here(capsys, "init")
    assert code == 4
    assert "suite.yaml: exists already" in err
    assert Path("suite.yaml").read_text() == text

    assert run_here(capsys, "init", "my first.yaml").code == 0
    assert "name: my-suite\n" in Path("my first.yaml").read_text()
    code, _, err = run_here(capsys, "init", "nowhere/suite.yaml")
    assert code == 4
    assert "cannot be written" in err
    # What is commented out is right too.
    lines = text.splitlines()
    uncommented = [
        re.sub(r"^(\s*)# (?=- |  |execution)", r"\1", line) if n > 5 else line for n, line in enumerate(lines)
    ]
    Path("all.yaml").write_text("\n".join(uncommented))
    code, out, err = run_here(capsys, "validate", "all.yaml")
    assert code == 0, err
    assert "ppo: 2 seeds" in out
    assert "gym/Pendulum-v1" in out


def failing(error: BaseException) -> object:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("it is late", where="here", remedy="sleep"), 4, "error: here: it is late\n  sleep\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, message: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_module, "app", lambda **_: failing(error)())  # type: ignore[operator]  # `failing` raises what it is given
    stdout = os.dup(1)
    try:
        assert main_module.program([]) == code
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    assert capfd.readouterr().err == message


def test_an_error_chooses_its_exit_code(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class NotComparable(UserError):
        exit_code = ExitCode.NOT_COMPARABLE

    monkeypatch.setattr(main_module, "app", lambda **_: failing(NotComparable("apples"))())  # type: ignore[operator]  # `failing` raises what it is given
    assert run_here(capsys).code == 3


def test_a_fault_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(main_module, "app", lambda **_: failing(ZeroDivisionError("oh\nno"))())  # type: ignore[operator]  # `failing` raises what it is given
    code, out, err = run_here(capsys)
    assert (code, out) == (70, "")
    assert "ZeroDivisionError: oh no" in err
    assert "Traceback" not in err
    (report,) = tmp_path.glob("haepo-bench-fault-*.txt")
    assert str(report) in err
    assert "Traceback" in report.read_text()
    assert "in command" in report.read_text()

    assert "Traceback" in run_here(capsys, "--debug").err
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    code, _, err = run_here(capsys)
    assert code == 70
    assert "no report could be written" in err


def test_debug_works_anywhere_on_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--debug", "describe", "nothing"], ["describe", "nothing", "--debug"]):
        code, _, err = run_here(capsys, *arguments)
        assert code == 4
        assert "Traceback" in err
    assert run_here(capsys, "--debug", "--version").code == 0


@pytest.mark.parametrize("arguments", [["list"], ["describe", "grpo"], ["--help"], ["schema"]])
def test_nobody_reads_the_output(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "haepo_bench", *arguments],
        stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_interrupted(tmp_path: Path) -> None:
    fifo = tmp_path / "marker"
    script = (
        "import sys, time, pathlib\n"
        "from haepo_bench.cli import main\n"
        "def wait(**_):\n"
        f"    pathlib.Path({str(fifo)!r}).touch()\n"
        "    time.sleep(60)\n"
        "main.app = wait\n"
        "from haepo_bench.__main__ import main\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    while not fifo.exists():
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted\n")


def complete(*words: str, environment: dict[str, str] | None = None) -> set[str]:
    """What bash is told for the last word."""
    line = {"COMP_WORDS": " ".join(["haepo-bench", *words]), "COMP_CWORD": str(len(words))}
    code, out, err = run_apart(environment={"_HAEPO_BENCH_COMPLETE": "complete_bash", **line, **(environment or {})})
    assert (code, err) == (0, "")
    return set(out.split())


def test_completion(tmp_path: Path) -> None:
    assert set(COMMANDS) <= complete("")
    assert complete("describe", "haepo") == {"haepo", "haepo-weighted", "haepo-listwise", "haepo-ranking"}
    assert complete("describe", "gy") == {"gym/"}
    assert complete("validate", "quick") == {"quickstart"}
    (tmp_path / "mine.yaml").write_text("")
    (tmp_path / "mine.txt").write_text("")
    (tmp_path / "minefield").mkdir()
    assert complete("validate", f"{tmp_path}/mi") == {f"{tmp_path}/mine.yaml", f"{tmp_path}/minefield/"}
    assert complete("run", "quick") == {"quickstart"}
    assert complete("list", "su") == {"suites"}


def test_plugins_are_listed_described_and_completed(tmp_path: Path) -> None:
    write_plugin(tmp_path)
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    code, out, _ = run_apart("list", "algorithms", environment=environment)
    assert code == 0
    assert re.search(r"^  picky +from picky-plugin$", out, re.MULTILINE)
    code, out, _ = run_apart("describe", "picky", environment=environment)
    assert code == 0
    assert "Drives bandits only." in out
    code, _, err = run_apart("describe", "broken", environment=environment)
    assert code == 4
    assert "out of order" in err


def test_columns() -> None:
    assert columns([("a", "bb", "c c"), ("aaa", "b", "")]) == "  a    bb  c c\n  aaa  b"
