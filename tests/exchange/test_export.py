"""`haepo-bench export`: tidy tables that say all that the records say."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cli_support import run_apart, run_here
from synthetic_runs import put, put_plan, record, showcase

from haepo_bench.errors import UserError
from haepo_bench.results.store import Store


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    store = showcase(folder / "results" / "made-up", seeds=3, marks=5)
    next(store.root.glob("bandit*--ppo-*/seed-2.json")).unlink()
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def stored(work: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The records as JSON, read without the package."""
    documents = [json.loads(path.read_text()) for path in (work / "results" / "made-up").glob("*--*/seed-*.json")]
    return {(one["task"], one["algorithm"], str(one["seed"])): one for one in documents}


def test_both_tables_say_what_the_records_say(work: Path) -> None:
    done = run_apart("export", cwd=work)
    assert done.code == 0, done.err
    assert "wrote results/export/runs.csv (72 runs)" in done.out
    assert "made-up: no result: 2 of 72 runs" in done.err
    records = stored(work)
    runs = rows(work / "results" / "export" / "runs.csv")
    assert len(runs) == 4 * 6 * 3
    for row in runs:
        known = records.get((row["task"], row["algorithm"], row["seed"]))
        assert row["suite"] == "made-up"
        if known is None:
            assert (row["status"], row["algorithm"]) == ("missing", "ppo")
            continue
        assert row["status"] == known["status"]
        assert row["settings_hash"] == known["settings_hash"]
        assert json.loads(row["settings"]) == known["settings"]
        assert json.loads(row["provenance"]) == known["provenance"]
        assert row["told"] == known["information"]["told"]
        if known["status"] == "done":
            assert float(row["final_return"]) == known["curve"]["eval_return"][-1]
            assert float(row["wall_seconds"]) == known["cost"]["wall_seconds"]
            assert row["env_steps_collected"] == str(known["cost"]["env_steps_collected"])
            assert row["marks"] == "5"
        if known["status"] == "failed":
            assert row["reason"] == "RuntimeError: the environment went away"
            assert row["final_return"] == ""
    curves = rows(work / "results" / "export" / "curves.csv")
    assert len(curves) == 5 * (72 - 2)
    for row in curves:
        known = records[row["task"], row["algorithm"], row["seed"]]
        at = known["curve"]["env_steps"].index(int(row["env_steps"]))
        for name, column in known["curve"].items():
            # Every digit: the text stands for the very same number.
            assert row[name] == "" if column[at] is None else float(row[name]) == column[at]


def test_it_replaces_nothing_unasked(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["export", str(work / "results"), "--out", str(tmp_path)]
    (tmp_path / "curves.csv").write_text("mine")
    done = run_here(capsys, *arguments)
    assert (done.code, done.out) == (4, "")
    assert "--force" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["curves.csv"]
    assert (tmp_path / "curves.csv").read_text() == "mine"
    assert run_here(capsys, *arguments, "--force").code == 0
    assert len(rows(tmp_path / "curves.csv")) == 350


def test_a_table_that_cannot_be_written_leaves_none_in_the_way(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from haepo_bench.exchange import export

    def full(file: Path, content: bytes, *, option: str) -> None:
        if file.name == "curves.csv":
            raise UserError("the disk is full", where=str(file))
        file.write_bytes(content)

    arguments = ["export", str(work / "results"), "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(export, "write_atomically", full)
        assert "the disk is full" in run_here(capsys, *arguments).err
    assert list(tmp_path.iterdir()) == []
    assert run_here(capsys, *arguments).code == 0


def test_the_report_is_not_disturbed_by_an_export(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = str(work / "results")
    before = run_here(capsys, "report", results, "--format", "json")
    assert run_here(capsys, "export", results, "--force").code == 0
    assert run_here(capsys, "report", results, "--format", "json").out == before.out
    inside = str(work / "results" / "made-up")
    before = run_here(capsys, "report", inside, "--format", "json")
    assert run_here(capsys, "export", inside).code == 0
    assert run_here(capsys, "report", inside, "--format", "json").out == before.out


def test_spreadsheets_find_no_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = '=HYPERLINK("http://a.b","c")\n+1'
    store = Store(tmp_path / "s")
    put(store, record(seed=0, notes=[evil]), record(seed=1, status="failed", error="@SUM(A1)"))
    put(store, record(evil, "-x", 2))
    assert run_here(capsys, "export", str(tmp_path / "s"), "--out", str(tmp_path)).code == 0
    for name in ("runs.csv", "curves.csv"):
        for row in rows(tmp_path / name):
            for text in row.values():
                assert text[:1] not in ("=", "@", "+", "\t", "\r") or text == ""
                assert not text.startswith("-") or float(text) < 0


def test_damaged_files_and_runs_left_out_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "s")
    put(store, record(seed=0), record(seed=1), record(seed=0, settings_hash="7" * 64))
    put_plan(store, [record()], [0, 1, 2])
    next(store.root.glob("*--55555555*/seed-1.json")).write_text("{")
    done = run_here(capsys, "export", str(store.root), "--out", str(tmp_path))
    assert done.code == 0
    assert "seed-1.json: not JSON" in done.err
    assert "1 run: other settings than those shown" in done.err
    assert [row["status"] for row in rows(tmp_path / "runs.csv")] == ["done", "damaged", "missing"]


def test_nothing_to_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    put(Store(tmp_path / "failed"), record(status="failed", error="no"))
    for folder, code, says in (("nowhere", 4, "no such"), ("empty", 2, "nothing to export"), ("failed", 2, "failed")):
        done = run_here(capsys, "export", str(tmp_path / folder), "--out", str(tmp_path / "out"))
        assert (done.code, done.out) == (code, "")
        assert says in done.err
    assert not (tmp_path / "out").exists()


def test_parquet_holds_the_same(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    results = str(work / "results")
    assert run_here(capsys, "export", results, "--out", str(tmp_path)).code == 0
    assert run_here(capsys, "export", results, "--out", str(tmp_path), "--format", "parquet").code == 0
    for name in ("runs", "curves"):
        table = pd.read_parquet(tmp_path / f"{name}.parquet")
        text = pd.DataFrame(rows(tmp_path / f"{name}.csv")).replace("", None)
        assert list(table.columns) == list(text.columns)
        assert len(table) == len(text)
        for column in ("final_score", "area") if name == "runs" else ("env_steps", "eval_return", "score"):
            pd.testing.assert_series_equal(
                table[column].astype(float), text[column].astype(float), check_exact=True, check_dtype=False
            )


def test_parquet_without_pyarrow_names_the_extra(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run_here(capsys, "export", str(work / "results"), "--format", "parquet", "--out", str(tmp_path))
    assert (done.code, done.out) == (4, "")
    assert "haepo-bench[parquet]" in done.err
    assert list(tmp_path.iterdir()) == []


def test_every_column_is_described(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    text = (Path(__file__).parent.parent.parent / "docs" / "reference" / "results-format.md").read_text(
        encoding="utf-8"
    )
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    assert run_here(capsys, "export", str(work / "results"), "--out", str(tmp_path)).code == 0
    for name in ("runs.csv", "curves.csv"):
        assert set(rows(tmp_path / name)[0]) <= named
