"""Several results folders in one report."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import run_here
from synthetic_runs import put, record

from haepo_bench.report.csv_files import more_csv, to_csv
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.page.html import to_html
from haepo_bench.report.tables.side_by_side import side_by_side
from haepo_bench.results.store import Store


def folder(root: Path, end: float, commit: str, **changes: Any) -> Path:
    for algorithm in ("grpo", "ppo"):
        for seed in range(3):
            own = changes if algorithm == "ppo" else {}
            run = record("t/x", algorithm, seed, returns=[0, 0.5, 1, 1, end + 0.1 * seed], **own)
            put(Store(root / "made-up"), run.model_copy(update={"provenance": {"git": {"commit": commit}}}))
    return root


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    return [
        folder(tmp_path / "monday", 1.0, "a" * 40),
        folder(tmp_path / "tuesday", 1.4, "b" * 40, code_hash="d" * 64),
        folder(tmp_path / "wednesday", 1.8, "c" * 40, settings_hash="6" * 64),
    ]


def test_each_folder_is_a_column(three: list[Path]) -> None:
    document = build_report(*three)
    (table,) = side_by_side(document)
    assert table.columns == ["Algorithm", "monday", "tuesday", "wednesday"]
    assert [row[0].text for row in table.rows] == ["grpo", "ppo"]
    for row in table.rows:
        for cell, end in zip(row[1:], (1.0, 1.4, 1.8), strict=True):
            assert float(cell.text) == pytest.approx(np.mean([(end + 0.1 * seed) / 2 for seed in range(3)]), abs=0.005)
            assert "3/3" in cell.detail
    assert [("other code" in cell.detail, "other settings" in cell.detail) for cell in table.rows[1][1:]] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    assert f"tuesday: commit {'b' * 10}." in table.notes
    assert side_by_side(build_report(three[0])) == []
    page = to_html(document, [{}] * 3)
    assert page.index("Side by side</h1>") < page.index("made-up (monday)</h1>") < page.index("made-up (tuesday)</h1>")


def test_as_csv_each_folder_is_a_row(three: list[Path]) -> None:
    document = build_report(*three)
    rows = list(csv.DictReader(io.StringIO(more_csv(document)["side_by_side.csv"])))
    finals = [row for row in rows if (row["measure"], row["algorithm"]) == ("final_score", "ppo")]
    assert [(row["results"], row["other_code"], row["other_settings"]) for row in finals] == [
        ("monday", "False", "False"),
        ("tuesday", "True", "False"),
        ("wednesday", "False", "True"),
    ]
    assert [float(row["mean"]) for row in finals] == pytest.approx([0.55, 0.75, 0.95])
    assert {row["suite"] for row in rows} == {"made-up"}
    assert finals[1]["commits"] == "b" * 40
    assert next(csv.DictReader(io.StringIO(to_csv(document))))["results"] == "monday"
    assert "side_by_side.csv" not in more_csv(build_report(three[0]))


def test_a_folder_without_runs_leaves_the_others_their_scores(three: list[Path]) -> None:
    document = build_report(*three)
    (whole,) = side_by_side(document)
    algorithms = document.suites[2].tasks[0].algorithms
    algorithms[:] = [result.model_copy(update={"final_score": None, "runs": []}) for result in algorithms]
    (table,) = side_by_side(document)
    for row, before in zip(table.rows, whole.rows, strict=True):
        assert [cell.text for cell in row[:3]] == [cell.text for cell in before[:3]]
        assert row[3].text == "–"


def test_folders_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    both = [folder(tmp_path / name / "results", 1.0, "a" * 40) for name in ("one", "two")]
    (table,) = side_by_side(build_report(*both))
    assert table.columns[1:] == ["one/results", "two/results"]  # no more of the machine than tells them apart


def test_on_the_command_line(three: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(each) for each in three]
    found = run_here(capsys, "report", *names, "--out", str(tmp_path / "all"))
    assert found.code == 0
    first = (tmp_path / "all" / "report.html").read_bytes()
    run_here(capsys, "report", *names, "--out", str(tmp_path / "again"))
    same = (tmp_path / "again" / "report.html").read_bytes() == first  # apart: a page is too long to be explained
    assert same
    markdown = run_here(capsys, "report", *names, "--format", "md").out
    assert markdown.splitlines()[0] == "# Side by side"
    refused = run_here(capsys, "report", *names)
    assert refused.code == 4
    assert "--out" in refused.err
    assert run_here(capsys, "report", names[0], names[0], "--out", str(tmp_path / "x")).code == 4
    assert run_here(capsys, "report", *names, "--publish", str(tmp_path / "x")).code == 4
