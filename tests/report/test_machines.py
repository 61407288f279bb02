"""Runs that come from several machines."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import run_here
from synthetic_runs import put, put_plan, record

from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.tables.per_task import reading_notes
from haepo_bench.results.store import Store


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"cpu": "made up", "versions": {"torch": "2.13.0"}, "node": "other"}, None),
        ({"cpu": "another", "versions": {"torch": "2.13.0"}}, "from 2 processors (another, made up): the same run"),
        (
            {"cpu": "another", "versions": {"torch": "2.14.0"}},
            "from 2 processors (another, made up) and 2 versions of torch (2.13.0, 2.14.0): the same run",
        ),
    ],
)
def test_a_report_says_where_runs_may_differ_in_rounding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], second: dict[str, Any], says: str | None
) -> None:
    store = Store(tmp_path / "made-up")
    runs = [record(seed=0), record(seed=1, provenance=second)]
    put(store, *runs)
    put_plan(store, runs, [0, 1])
    (suite,) = build_report(store.root).suites
    notes = [note for note in reading_notes(suite) if "come from" in note]
    assert len(notes) == (says is not None)
    assert says is None or says in notes[0]
    for form in ("md", "latex"):
        shown = " ".join(run_here(capsys, "report", str(store.root), "--format", form).out.split())
        assert ("come from 2 processors" in shown) == (says is not None)
    given = json.loads(run_here(capsys, "report", str(store.root), "--format", "json").out)["suites"][0]["provenance"]
    assert given["cpu"] == sorted({"made up", second["cpu"]})
    assert given["versions.torch"] == sorted({"2.13.0", second["versions"]["torch"]})
