"""`clean`: what it lists, what it moves, and what it leaves alone whatever it is asked."""

import fcntl
import json
from pathlib import Path

import pytest
from cli_support import run_here
from synthetic_runs import put, put_plan, record

from haepo_bench.results.opening import find_suites
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store
from haepo_bench.wording import data_size

OTHER_CODE, OTHER_SETTINGS = "d" * 64, "6" * 64


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite's folder with a plan, its runs, and one of everything that can go."""
    store = Store(tmp_path / "results" / "made-up")
    current = [record(seed=0), record(seed=1)]
    put(store, *current)
    put_plan(store, current, [0, 1])
    (folder,) = (path for path in store.root.iterdir() if path.is_dir())
    put(store, record(seed=0, code_hash=OTHER_CODE), record(seed=0, settings_hash=OTHER_SETTINGS))
    put(store, record("corridor/8", seed=0))  # the plan does not ask for it, and it may be wanted all the same
    (folder / "code.txt").write_text("module a\tb\n")
    (folder / "seed-2.json").write_text("cut off")
    (folder / "seed-3.json.damaged").write_text("set aside")
    (folder / "seed-4.checkpoint").write_bytes(bytes(2_000))
    (folder / "seed-5.json").write_text('{"format_version": 99}')  # of a newer version
    (folder / "notes.txt").write_text("a person's")
    logs = store.root / "logs" / next(path.name for path in store.root.glob(f"*-{OTHER_CODE[:8]}"))
    logs.mkdir(parents=True)
    (logs / "seed-0.log").write_text("log")
    return store.root


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kinds(out: str) -> list[str]:
    return sorted(line.split()[0] for line in out.splitlines() if line.startswith("  "))


def test_it_lists_and_changes_nothing(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(suite.parent)
    code, out, err = run_here(capsys, "clean", str(suite.parent))
    assert (code, files(suite.parent)) == (0, before)
    assert kinds(out) == ["checkpoint", "damaged", "damaged", "obsolete", "obsolete"]
    assert "--yes" in err
    rows = {line.split()[-2:][0] + " " + line.split()[-1]: line for line in out.splitlines() if "obsolete" in line}
    assert set(rows) == {"other code", "other settings"}
    assert all("1 run " in line for line in rows.values())
    (checkpoint,) = [line for line in out.splitlines() if "checkpoint" in line]
    assert "2.0 kB" in checkpoint


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--obsolete", ["obsolete"] * 2), ("--damaged", ["damaged"] * 2), ("--checkpoints", ["checkpoint"])],
)
def test_one_kind_alone(suite: Path, capsys: pytest.CaptureFixture[str], option: str, expected: list[str]) -> None:
    code, out, _ = run_here(capsys, "clean", str(suite), option)
    assert (code, kinds(out)) == (0, expected)


@pytest.mark.parametrize("whole", [True, False], ids=["results", "suite"])
def test_what_moves_and_what_stays(suite: Path, capsys: pytest.CaptureFixture[str], whole: bool) -> None:
    results = suite.parent if whole else suite
    shown = select(Store(suite))
    before = files(suite)
    code, _, err = run_here(capsys, "clean", str(results), "--yes")
    assert code == 0, err
    trash = results / ".trash" / ("made-up" if whole else "")
    moved = files(trash)
    after = {name: content for name, content in files(suite).items() if not name.startswith(".")}
    assert {**after, **moved} == before  # nothing is lost, nothing changed
    assert len(moved) == 6  # two runs, a log, two damaged files, a checkpoint
    now = select(Store(suite))
    assert [cell.runs[0].record for cell in now.cells] == [cell.runs[0].record for cell in shown.cells]
    assert {file.path.name for file in now.damaged} == {"seed-5.json"}
    assert sorted(run.folder.split("--")[0] for run in now.not_shown) == ["corridor%2F8"]
    assert find_suites(suite.parent) == [suite]
    code, out, _ = run_here(capsys, "clean", str(results))
    assert (code, out) == (0, "nothing to clean\n")
    code, out, _ = run_here(capsys, "report", str(suite.parent), "--out", str(suite.parent.parent / "report"))
    assert code == 0
    assert not (trash / "plan.json").exists()


def test_a_second_time_overwrites_nothing(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder,) = (path.parent for path in suite.glob("*/code.txt"))
    for content in ("one", "two", "three"):
        (folder / "seed-2.json").write_text(content)
        assert run_here(capsys, "clean", str(suite), "--yes", "--damaged").code == 0
    kept = {path.name: path.read_text() for path in (suite / ".trash" / folder.name).glob("seed-2*")}
    assert kept == {"seed-2.json": "one", "seed-2.json.1": "two", "seed-2.json.2": "three"}


def test_without_a_plan_no_run_is_obsolete(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for plan in ("", "[]"):
        (suite / "plan.json").unlink()
        if plan:
            (suite / "plan.json").write_text(plan)
        assert run_here(capsys, "clean", str(suite), "--obsolete").out == "nothing to clean\n"
        (suite / "plan.json").write_text("[]")


def test_a_run_of_the_plan_is_never_obsolete(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the plan holds one algorithm with two settings under two names that begin alike."""
    plan = json.loads((suite / "plan.json").read_bytes())
    (cell,) = plan["cells"]
    other = next(path.name for path in suite.glob(f"*-{OTHER_CODE[:8]}"))
    plan["cells"].append({**cell, "folder": other, "algorithm": "another", "code_hash": OTHER_CODE})
    (suite / "plan.json").write_text(json.dumps(plan))
    out = run_here(capsys, "clean", str(suite), "--obsolete").out
    assert "other code" not in out
    assert "other settings" in out


def test_a_folder_that_a_run_holds_is_left_alone(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(suite)
    with (suite / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = run_here(capsys, "clean", str(suite), "--yes")
    assert code == 4
    assert "another run is writing" in err
    assert {name: content for name, content in files(suite).items() if name != ".lock"} == before


def test_no_such_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_here(capsys, "clean", str(tmp_path / "none"))
    assert (code, "there is no such folder" in err) == (4, True)
    code, out, _ = run_here(capsys, "clean", str(tmp_path))
    assert (code, out) == (0, "nothing to clean\n")


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (27_000_000, "27.0 MB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_sizes(size: int, said: str) -> None:
    assert data_size(size) == said
