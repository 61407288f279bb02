"""`haepo-bench report` as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import run_apart, run_here
from synthetic_runs import put, put_plan, record, showcase

from haepo_bench.results.store import Store


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a results folder of one suite."""
    folder = tmp_path_factory.mktemp("work")
    showcase(folder / "results" / "made-up", seeds=2, marks=4, only=("gym/CartPole-v1",))
    return folder


def test_without_arguments_it_reports_what_lies_in_results(work: Path) -> None:
    done = run_apart("report", cwd=work)
    assert done.code == 0, done.err
    assert "wrote results/report/report.html" in done.out
    assert not (work / "results" / "report" / "figures").exists()
    assert "made-up: no result: 1 of 12 runs" in done.err
    assert (work / "results" / "report" / "report.html").stat().st_size > 20_000
    again = run_apart("report", "--format", "json", cwd=work)
    assert [suite["suite"] for suite in json.loads(again.out)["suites"]] == ["made-up"]
    assert json.loads(again.out)["suites"][0]["damaged"] == []


def test_json_alone_stands_on_standard_output(work: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    done = run_here(capsys, "report", str(work / "results"), "--format", "json")
    assert done.code == 0
    assert json.loads(done.out)["format_version"] == 3
    with_files = run_here(
        capsys,
        "report",
        str(work / "results"),
        "--format",
        "json",
        "--figures",
        "pdf,svg",
        "--out",
        str(tmp_path / "new" / "out"),
    )
    assert with_files.out == done.out == (tmp_path / "new" / "out" / "report.json").read_text()
    assert len(list((tmp_path / "new" / "out" / "figures" / "made-up").iterdir())) == 2 * 6 + 1
    assert "wrote 6 figures as PDF and SVG to " in with_files.err


@pytest.mark.parametrize(
    ("form", "start"), [("md", "# made-up"), ("csv", "suite,task,algorithm"), ("latex", "% needs")]
)
def test_other_formats_are_printed(
    work: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str, start: str
) -> None:
    before = sorted(work.rglob("*"))
    done = run_here(capsys, "report", str(work / "results"), "--format", form)
    assert done.code == 0
    assert done.out.startswith(start)
    assert sorted(work.rglob("*")) == before


def test_markdown_files_link_their_figures(work: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_here(capsys, "report", str(work / "results"), "--format", "md", "--out", str(tmp_path)).code == 0
    links = [part.split(")")[0] for part in (tmp_path / "report.md").read_text().split("](")[1:]]
    assert len(links) == 6
    assert all((tmp_path / link).is_file() for link in links)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--figures", "jpeg"], "no figure format 'jpeg'"),
        (["--style", "icml"], "say which with --figures pdf"),
        (["--format", "md", "--figures", "pdf"], "--out"),
    ],
)
def test_figures_that_cannot_be_drawn(
    work: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    done = run_here(capsys, "report", str(work / "results"), *options)
    assert done.code == 4
    assert said in done.err


def test_damaged_stores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "made-up")
    put(store, *(record(seed=seed) for seed in range(2)))
    put_plan(store, [record()], list(range(8)))
    folder = store.path("bandit%2F10-arm--reinforce--55555555-cccccccc", 0).parent
    whole = json.loads(record().to_json())
    damage = {
        2: record().to_json()[:300],
        3: json.dumps({**whole, "seed": "three"}),
        4: json.dumps({**whole, "seed": 4, "curve": {**whole["curve"], "eval_return": [1.0]}}),
        5: json.dumps({**whole, "seed": 5, "final": {"eval_return": float("nan")}}),
        6: json.dumps({**whole, "seed": 6, "format_version": 7}),
        7: json.dumps({"what": "is this"}),
    }
    for seed, text in damage.items():
        (folder / f"seed-{seed}.json").write_text(text)
    (tmp_path / "empty").mkdir()
    done = run_here(capsys, "report", str(tmp_path), "--format", "json")
    assert done.code == 0
    empty, suite = json.loads(done.out)["suites"]
    assert (empty["suite"], empty["runs_planned"]) == ("empty", 0)
    reasons = {file["file"].split("/")[1]: file["reason"] for file in suite["damaged"]}
    for seed, says in {2: "not JSON", 3: "seed", 4: "unequal", 5: "NaN", 6: "newer", 7: "not a run record"}.items():
        assert says in reasons[f"seed-{seed}.json"]
        assert f"seed-{seed}.json" in done.err
    result = suite["tasks"][0]["algorithms"][0]
    assert result["seeds"]["shown"] == [0, 1]
    assert [run["status"] for run in result["seeds"]["missing"]] == ["damaged"] * 4 + ["newer", "damaged"]


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(Store(tmp_path / "results"), record())
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    here = str(tmp_path / "results")
    for arguments, code, says in [
        ([str(tmp_path / "nowhere")], 4, "no such folder"),
        ([str(tmp_path / "file")], 4, "not a folder"),
        ([str(tmp_path / "empty")], 2, "nothing to report"),
        ([here, "--format", "pdf"], 4, "pdf"),
        ([here, "--out", str(tmp_path / "file" / "x")], 4, "--out"),
    ]:
        done = run_here(capsys, "report", *arguments)
        assert (done.code, done.out) == (code, "")
        assert says in done.err
        assert "Traceback" not in done.err


def test_it_loads_no_training_library(work: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from haepo_bench.cli.main import program
assert program(["report", {str(work / "results")!r}, "--out", {str(tmp_path)!r}]) == 0
heavy = {{"torch", "gymnasium", "stable_baselines3"}} & set(sys.modules)
own = [name for name in sys.modules if name.startswith(("haepo_bench.training", "haepo_bench.tasks."))]
assert not heavy and own in ([], ["haepo_bench.tasks.address"]), (heavy, own)  # addresses are text, and light
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
