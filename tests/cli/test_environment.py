"""What the machine refuses is named and ends with 4: it is not a fault of the program (70), and no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import ROOT
from execution_support import Workplace

from haepo_bench.cli.fault import fault_of_the_machine

Done = subprocess.CompletedProcess[str]


def shell(line: str, folder: Path, **environment: str) -> Done:
    """Runs `HB` in a line of bash as the program."""
    program = f'"{sys.executable}" -m haepo_bench'
    return subprocess.run(
        ["bash", "-c", line.replace("HB", program)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("command", ["list", "--version", "--help", "schema report", "run quickstart", "validate x"])
def test_standard_output_is_closed(command: str, tmp_path: Path) -> None:
    """Said before anything is done: a run would be made that nobody hears of."""
    done = shell(f"HB {command} >&-", tmp_path)
    assert (done.returncode, done.stderr.splitlines()[0]) == (4, "error: standard output is closed")
    assert "/dev/null" in done.stderr
    assert list(tmp_path.iterdir()) == []
    both = shell(f"HB {command} >&- 2>&-", tmp_path)
    assert (both.returncode, both.stderr) == (4, "")


@pytest.mark.parametrize("command", ["list algorithms", "--version", "--help", "schema report", "describe --all"])
def test_standard_output_is_full(command: str, tmp_path: Path) -> None:
    done = shell(f"HB {command} >/dev/full", tmp_path)
    assert done.returncode == 4
    assert "No space left on device" in done.stderr
    assert "Exception ignored" not in done.stderr
    assert shell(f"HB {command} >/dev/full 2>&1", tmp_path).returncode == 4


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_nothing_is_lost_where_standard_error_goes_nowhere(stderr: str, tmp_path: Path) -> None:
    """Messages have nowhere to go, and must not land among the results; exit codes are what they are."""
    done = shell(f"HB schema {stderr}", tmp_path)
    assert (done.returncode, done.stdout[:2]) == (0, "{\n")
    failed = shell(f"HB describe nothing {stderr}", tmp_path)
    assert (failed.returncode, failed.stdout, failed.stderr) == (4, "", "")


def test_a_run_whose_standard_error_is_closed_or_full(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    suite = workplace.suite([{}], seeds=1)
    environment = {"PYTHONPATH": workplace.environment["PYTHONPATH"], "SICK": str(workplace.sick)}
    for number, stderr in enumerate(("2>&-", "2>/dev/full")):
        done = shell(f"HB run {suite} --results r{number} {stderr}", tmp_path, **environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert "next: haepo-bench report" in done.stdout
        assert workplace.statuses(f"r{number}") == {("scripted", 0): "done"}
    done = shell(f"HB run {suite} --results full >/dev/full", tmp_path, **environment)
    assert (done.returncode, workplace.statuses("full")) == (4, {("scripted", 0): "done"})


def test_the_current_folder_is_gone(tmp_path: Path) -> None:
    done = shell("mkdir gone && cd gone && rmdir ../gone && HB list", tmp_path)
    assert done.returncode == 4
    assert done.stderr.startswith("error: the current folder does not exist any more\n")


# Not memory: where an allocation fails first depends on the machine, and a library may abort there.
@pytest.mark.parametrize(("limit", "said"), [("-n 8", "Too many open files"), ("-f 0", "File too large")])
def test_what_the_system_limits_is_named(limit: str, said: str, tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    suite = workplace.suite([{}], seeds=1)
    environment = {"PYTHONPATH": workplace.environment["PYTHONPATH"], "SICK": str(workplace.sick)}
    done = shell(f"ulimit {limit}; HB run {suite}", tmp_path, TMPDIR=str(tmp_path), **environment)
    assert done.returncode == 4
    assert said in done.stderr
    assert f"ulimit {limit[:2]}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"COLUMNS": "0"},
        {"COLUMNS": "1"},
        {"COLUMNS": "-7"},
        {"TERM": "nonsense", "LC_ALL": "xx_YY", "LANG": "xx"},
        {"HOME": "/proc/nothing", "XDG_CACHE_HOME": "/proc/nothing", "TMPDIR": "/proc/nothing"},
        {"PATH": ""},
        {"PYTHONWARNINGS": "error"},
    ],
    ids=str,
)
def test_odd_surroundings_change_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "haepo_bench", "describe", "bandit/10-arm"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "score" in done.stdout


@pytest.mark.parametrize("broken", ["MPLBACKEND", "matplotlibrc"])
def test_a_library_whose_configuration_is_broken_is_named(broken: str, tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    suite = workplace.suite([{}], seeds=1)
    assert workplace.run(suite).returncode == 0
    if broken == "matplotlibrc":
        (tmp_path / "matplotlibrc").write_bytes(b"figure.dpi: \xff\n")
    done = shell("HB report", tmp_path, **({"MPLBACKEND": "nonsense"} if broken == "MPLBACKEND" else {}))
    assert done.returncode == 4
    assert "error: a library cannot be loaded: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in shell("HB report --debug", tmp_path, MPLBACKEND="nonsense").stderr


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), KeyError("x"), OSError(9, "Bad file descriptor"), OSError("no number"), TypeError()],
    ids=repr,
)
def test_a_fault_of_ours_is_not_blamed_on_the_machine(error: Exception) -> None:
    assert fault_of_the_machine(error) is None
    with pytest.raises(type(error)) as raised:
        raise error
    assert fault_of_the_machine(raised.value) is None


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(5, "Input/output error", "f"), ImportError("libx.so"), PermissionError(13, "no")],
    ids=repr,
)
def test_a_fault_of_the_machine_is(error: Exception) -> None:
    found = fault_of_the_machine(error)
    assert found is not None
    assert found.exit_code == 4
