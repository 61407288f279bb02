"""What the view makes of a results folder: files half there, links, folders out of reach, reports that fail."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from execution_support import wait_until
from synthetic_runs import folder_of, put, put_plan, record

from haepo_bench.live import watching
from haepo_bench.live.reporting import ReportMaker
from haepo_bench.live.stored import StoredRuns
from haepo_bench.live.watching import Watched
from haepo_bench.results.live_file import LIVE_FILE, LiveState
from haepo_bench.results.store import Store

TASK = "bandit/10-arm"


def suite(root: Path, seeds: int = 1) -> tuple[Store, Path]:
    """A suite's folder with the runs of one cell; the cell's folder, which last changed long ago."""
    store = Store(root)
    runs = [record(TASK, "ppo", seed) for seed in range(seeds)]
    put_plan(store, runs, list(range(seeds)), suite=root.name)
    put(store, *runs)
    cell = root / folder_of(runs[0])
    os.utime(cell, (1e9, 1e9))
    return store, cell


def states(runs: StoredRuns) -> list[str]:
    runs.refresh()
    return [cell["states"] for cell in runs.cells]


def test_a_run_that_was_seen_half_copied_is_seen_whole(tmp_path: Path) -> None:
    _, cell = suite(tmp_path / "made")
    content = (cell / "seed-0.json").read_bytes()
    (cell / "seed-0.json").write_bytes(content[:100])
    runs = StoredRuns(tmp_path / "made", tmp_path)
    assert states(runs) == ["u"]
    (cell / "seed-0.json").write_bytes(content)  # in place: the folder does not change
    assert cell.stat().st_mtime == 1e9
    assert states(runs) == ["d"]


def test_checkpoints_are_no_news_and_runs_are(tmp_path: Path) -> None:
    store, cell = suite(tmp_path / "made", seeds=2)
    (cell / "seed-1.json").rename(tmp_path / "later")
    runs = StoredRuns(store.root, tmp_path)
    assert states(runs) == ["d."]
    before = runs.fingerprint
    (cell / "seed-1.checkpoint").write_bytes(b"state")
    assert states(runs) == ["d."]
    assert runs.fingerprint == before
    (tmp_path / "later").rename(cell / "seed-1.json")
    assert states(runs) == ["dd"]
    assert runs.fingerprint != before


@pytest.mark.parametrize("linked", ["folder", "file"])
def test_runs_are_not_read_through_links_that_lead_out(tmp_path: Path, linked: str) -> None:
    _, cell = suite(tmp_path / "results" / "made")
    path = cell if linked == "folder" else cell / "seed-0.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert states(StoredRuns(tmp_path / "results" / "made", tmp_path / "results")) == ["."]
    assert states(StoredRuns(tmp_path / "results" / "made", tmp_path)) == ["d"]


@pytest.mark.parametrize("name", ["", ".", "..", "../other", "a\0b", "\ud800"])
def test_a_plan_with_an_odd_folder_hides_no_other_suite(tmp_path: Path, name: str) -> None:
    suite(tmp_path / "results" / "good")
    store, _ = suite(tmp_path / "results" / "odd")
    plan: dict[str, Any] = json.loads(store.plan_path.read_bytes())
    plan["cells"][0]["folder"] = name
    store.plan_path.write_text(json.dumps(plan))
    put(Store(tmp_path / "results"), record(TASK, "ppo", 0))
    (tmp_path / "results" / "seed-0.json").write_text("{")
    watched = Watched(tmp_path / "results", tmp_path)
    watched.report.look = lambda *_, **__: None  # type: ignore[method-assign]
    watched.look()
    good, odd = watched.snapshot()["folders"]
    assert [cell["states"] for cell in good["cells"]] == ["d"]
    assert [cell["states"] for cell in odd["cells"]] in ([], ["."])


def test_entries_out_of_reach_and_suites_that_fail_hide_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bad", "good"):
        suite(tmp_path / "results" / name)
    (tmp_path / "results" / "circle").symlink_to("circle")
    refresh = StoredRuns.refresh

    def refreshed(self: StoredRuns) -> None:
        if self._store.root.name == "bad":
            raise ValueError("what nobody thought of")
        refresh(self)

    monkeypatch.setattr(StoredRuns, "refresh", refreshed)
    watched = Watched(tmp_path / "results", tmp_path)
    watched.report.look = lambda *_, **__: None  # type: ignore[method-assign]
    watched.look()
    bad, good = watched.snapshot()["folders"]
    assert bad["problem"].endswith("ValueError: what nobody thought of")
    assert (good["problem"], [cell["states"] for cell in good["cells"]]) == ("", ["d"])


def test_a_live_file_is_read_where_it_has_changed_and_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = LiveState(
        written=0.0, host="here", process=1, seconds=5.0, runs=2, finished=0, failed=0, waiting=0, workers=1,
        seconds_left=None, scored=[], jobs=[], curves=[], curves_left_out=0, failures=[],
    )  # fmt: skip
    reads = []
    read_live = watching.read_live
    monkeypatch.setattr(watching, "read_live", lambda folder: (reads.append(folder), read_live(folder))[1])
    (tmp_path / LIVE_FILE).write_text(state.model_dump_json())
    live = watching._Live()
    for _ in range(3):
        live.read(tmp_path)
    assert (live.state, len(reads)) == (state, 1)
    (tmp_path / LIVE_FILE).write_text(state.model_dump_json() + " " * (5 << 20))
    live.read(tmp_path)
    assert (live.state, len(reads)) == ("unreadable", 2)


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_a_report_that_dies_is_not_current_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("haepo_bench.live.reporting.time", clock)
    program = tmp_path / "program"
    monkeypatch.setattr(sys, "executable", str(program))
    maker = ReportMaker(tmp_path, tmp_path)

    def attempt(text: str | None, *runs: int) -> None:
        program.unlink(missing_ok=True)
        if text is not None:
            program.write_text(f"#!/bin/sh\n# -P -m haepo_bench report RESULTS --out OUT\n{text}\n")
            program.chmod(0o755)
        maker.look(runs, finished=1, running=False)
        process = maker._process
        if process is not None:
            wait_until(lambda: process.poll() is not None, "its end", 60)
            maker._take_ended(clock.now)

    make = 'mkdir "$7" && echo page > "$7/report.html"'
    attempt(make, 1)
    assert (maker.version, maker.is_current((1,)), maker.problem) == (1, True, "")
    attempt("kill -9 $$", 1, 2)
    assert (maker.version, maker.is_current((1, 2)), maker.problem) == (1, False, "the report ended with code -9")
    attempt(make, 1, 2)
    assert maker.version == 1, "tried again at once"
    clock.now += 60.0
    attempt(make, 1, 2)
    assert (maker.version, maker.is_current((1, 2)), maker.problem) == (2, True, "")
    attempt(None, 3)
    assert (maker.version, maker.is_current((3,))) == (2, False)
    assert "No such file" in maker.problem
    clock.now += 60.0
    attempt(f"{make}; echo one run is damaged >&2; exit 4", 3)
    assert (maker.version, maker.is_current((3,)), maker.problem) == (3, False, "one run is damaged")
    clock.now += 6000.0
    attempt(make, 3)
    assert maker.version == 3, "made again of the same runs"
