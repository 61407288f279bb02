"""What stops `run` and `gate` before they train, and what they do about results that go away meanwhile."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest
from cli_support import Outcome, run_here
from execution_support import Workplace, held, wait_until
from special_files import KINDS, hold_root_to_permissions, make, within

from haepo_bench import catalogue
from haepo_bench.execution import gate as gating
from haepo_bench.regression.check import Verdict

ONE, TWO = {"name": "one"}, {"name": "two"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A workplace with a complete run of two cells with two seeds."""
    place = Workplace(tmp_path_factory.mktemp("work"))
    done = place.run(place.suite([ONE, TWO], seeds=2), "--quiet")
    assert done.returncode == 0, done.stderr
    (place.folder / "results").rename(place.folder / "whole")
    yield place
    place.close()


@pytest.fixture
def place(made: Workplace) -> Workplace:
    """That, with its results as they were and asking for a third seed."""
    shutil.rmtree(made.folder / "results", ignore_errors=True)
    shutil.copytree(made.folder / "whole", made.folder / "results")
    made.suite([ONE, TWO], seeds=3)
    return made


def root(place: Workplace) -> Path:
    return place.folder / "results" / "trial"


def cell(place: Workplace, name: str = "one") -> Path:
    (folder,) = root(place).glob(f"*--{name}--*")
    return folder


def run(place: Workplace, *arguments: str, **options: Any) -> Outcome:
    process = place.start(place.folder / "suite.yaml", "--quiet", *arguments, **options)
    output, errors = process.communicate(timeout=60)
    return Outcome(process.returncode, output, errors)


@pytest.fixture
def run_it(place: Workplace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`run` in this process, which is faster where nothing is trained."""
    monkeypatch.chdir(place.folder)
    monkeypatch.syspath_prepend(str(place.folder / "site"))
    invalidate_caches()
    for cached in (catalogue._plugins, catalogue.algorithm):
        cached.cache_clear()

    def run_it(*arguments: str) -> Outcome:
        with within(60):
            return run_here(capsys, "run", "suite.yaml", "--quiet", *arguments)

    yield run_it
    for cached in (catalogue._plugins, catalogue.algorithm):
        cached.cache_clear()


def everything(place: Workplace) -> dict[Path, object]:
    """All that is stored: what kind of thing, and of files the content."""
    return {
        path: path.read_bytes() if path.is_file() else os.lstat(path).st_mode
        for path in root(place).rglob("*")
        if path.name != ".lock"
    }


#: What is put in whose place: the file in the workplace.
PLACES: dict[str, Callable[[Workplace], Path]] = {
    "run": lambda place: cell(place) / "seed-1.json",
    "plan": lambda place: root(place) / "plan.json",
    "checkpoint": lambda place: cell(place) / "seed-2.checkpoint",
    "log": lambda place: root(place) / "logs" / cell(place).name / "seed-2.log",
    "lock": lambda place: root(place) / ".lock",
    "cell": lambda place: cell(place, "two"),
    "unwritten": lambda place: cell(place) / "seed-2.json",
}


@pytest.mark.parametrize("what", PLACES)
def test_what_cannot_be_read_stops_a_run_before_it_trains(place: Workplace, run_it: Any, what: str) -> None:
    # A link that leads nowhere may be a log's, or the lock's: it is made there.
    kinds = [kind for kind in KINDS if not (kind == "dangling" and what in ("log", "lock"))]
    kinds = [kind for kind in kinds if not (kind == "folder" and what == "cell")]
    for kind in kinds:
        path = PLACES[what](place)
        kept = path.with_name(f"kept-{kind}")
        if path.exists():
            path.rename(kept)
        make(path, kind)
        before = everything(place)
        done = run_it()
        assert done.code == 4, (what, kind, done.err)
        assert str(path.relative_to(place.folder)) in done.err
        assert "Traceback" not in done.err
        if what == "lock":
            before = {k: v for k, v in before.items() if k != path}
        after = everything(place)
        assert {key: after[key] for key in before} == before, (what, kind)
        assert not list(root(place).rglob("seed-2.json")) or what == "unwritten"
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
        if kept.exists():
            kept.rename(path)
    assert run_it("--dry-run").code == 0
    assert not list(root(place).rglob("*.damaged*"))


def test_a_folder_called_like_a_file_of_ours_is_said(place: Workplace, run_it: Any) -> None:
    for name, what in (
        (".seed-0.json.abcdefgh", "a half-written file"),
        ("seed-0.checkpoint", "the checkpoint of a finished run"),
        ("../.plan.json.abcdefgh", "a half-written plan"),
    ):
        folder = cell(place) / name
        folder.mkdir()
        (folder / "mine").touch()
        done = run_it()
        assert done.code == 4
        assert f"is a folder that is called like {what}" in done.err
        assert "move it out of the results folder" in done.err
        assert (folder / "mine").exists()
        shutil.rmtree(folder)
    (cell(place) / "seed-2.npz").mkdir()
    done = run_it("--save-policies")
    assert done.code == 4
    assert "seed-2.npz: cannot write: it is a folder" in done.err


def test_permissions(place: Workplace) -> None:
    """Of a folder that is closed, and of one that is not to be written to: neither is a fault of the program."""
    before = everything(place)
    for mode, says in ((0o000, "cannot be read: Permission denied"), (0o555, "cannot write: Permission denied")):
        folder = cell(place)
        folder.chmod(mode)
        done = run(place, preexec_fn=hold_root_to_permissions)
        folder.chmod(0o755)
        assert done.code == 4, done.err
        assert says in done.err
        assert everything(place) == before
    (cell(place) / "seed-1.json").chmod(0)
    done = run(place, preexec_fn=hold_root_to_permissions)
    assert done.code == 4
    assert "seed-1.json: cannot be read: Permission denied" in done.err
    assert "make it readable, or move it out of the results folder" in done.err
    (cell(place) / "seed-1.json").chmod(0o644)
    assert everything(place) == before


def test_a_dry_run_says_it_as_well(place: Workplace, run_it: Any) -> None:
    make(cell(place) / "seed-1.json", "loop")
    assert run_it("--dry-run").code == 4


def test_a_damaged_plan_is_kept_beside(place: Workplace) -> None:
    (root(place) / "plan.json").write_text('{"cells": ')
    assert run(place).code == 0
    assert (root(place) / "plan.json.damaged").read_text() == '{"cells": '
    assert json.loads((root(place) / "plan.json").read_text())["suite"] == "trial"


def started(place: Workplace) -> tuple[Path, "subprocess.Popen[str]"]:
    """A run under way that has just stored its first run, and would go on for a while."""
    place.suite([{"name": "slow", "params": {"pause": 0.2}}], seeds=2, execution={"workers": 1, "device": "cpu"})
    shutil.rmtree(root(place))
    process = place.start(place.folder / "suite.yaml", "--quiet")
    wait_until(lambda: list(root(place).glob("*--slow--*/seed-*.json")), "the first run")
    return root(place), process


def test_results_that_are_deleted_meanwhile_fail_the_run(place: Workplace) -> None:
    folder, process = started(place)
    with held(process):
        shutil.rmtree(folder)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 4, errors
    assert "results/trial: the results folder was deleted, moved or replaced" in errors
    assert not output


def test_results_that_are_replaced_meanwhile_fail_the_run(place: Workplace) -> None:
    folder, process = started(place)
    with held(process):
        folder.rename(folder.with_name("moved"))
        shutil.copytree(folder.with_name("moved"), folder)
        stored = sorted(folder.rglob("seed-*.json"))
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 4, errors
    assert sorted(folder.rglob("seed-*.json")) == stored


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["runs", "logs"])
def test_so_do_runs_and_logs(place: Workplace, gone: str) -> None:
    folder, process = started(place)
    with held(process):
        (run_file,) = folder.glob("*--slow--*/seed-*.json")
        (folder / "plan.json").unlink()
        if gone == "logs":
            shutil.rmtree(folder / "logs")
        else:
            run_file.unlink()
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 4, errors
    assert "deleted while this run was writing to it: " in errors
    assert (run_file.name if gone == "runs" else "logs/") in errors
    # The plan was written again, and the same command puts the rest right.
    assert json.loads((folder / "plan.json").read_text())["suite"] == "trial"
    again = run(place)
    assert again.code == 0, again.err
    assert len(list(folder.glob("*--slow--*/seed-*.json"))) == 2


def test_a_gate_stops_before_any_stage_trains(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever stage holds what cannot be read."""
    recorded = ["results/trial", "--out", "baseline.json", "--reason", "why", "--min-seeds", "2", "--allow-dirty"]
    place.suite([ONE, TWO], seeds=2)
    assert program(place, "baseline", *recorded).code == 0
    for stage in (gating.IDENTITY, gating.FRESH, gating.CONFIRMATION):
        gates = place.folder / "gates"
        path = make(gates / "trial" / stage / cell(place).name / "seed-7.json", "fifo")
        done = program(place, "gate", "suite.yaml", "--baseline", "baseline.json", "--results", "gates", "--quiet")
        assert done.code == 4, done.err
        assert f"{stage}/{cell(place).name}/seed-7.json: cannot be read: it is a named pipe" in done.err
        assert [file for file in gates.rglob("*") if not file.is_dir()] == [path]
        shutil.rmtree(gates)


def program(place: Workplace, *arguments: str) -> Outcome:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "haepo_bench", *arguments], cwd=place.folder, env=place.environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_an_unreadable_result_outweighs_every_verdict() -> None:
    from haepo_bench.errors import ExitCode
    from haepo_bench.regression.check import CellVerdict
    from haepo_bench.regression.verdict import DEFAULT_RULE, Mark
    from haepo_bench.results.identity import CellKey

    cells = (CellVerdict(CellKey("task", "algorithm"), Mark.WORSE),)
    assert Verdict("suite", DEFAULT_RULE, "", cells).exit_code == ExitCode.REGRESSION
    assert Verdict("suite", DEFAULT_RULE, "", cells, unreadable=True).exit_code == ExitCode.USAGE
