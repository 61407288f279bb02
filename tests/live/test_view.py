"""`haepo-bench view` through the command line: what it shows, when, and what it refuses."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cli_support import run_apart, run_here
from execution_support import Workplace, wait_until
from live_support import Viewer, viewing
from synthetic_runs import put, put_plan, record

from haepo_bench.cli.view import _has_display
from haepo_bench.report.styles import COLOURS, DARK_COLOURS
from haepo_bench.results.live_file import LIVE_FILE, LiveState
from haepo_bench.results.store import Store

pytest.importorskip("starlette", reason="starlette is not installed (extra: view)")
pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra: view)")

HOSTILE = "<script>window.hit=1</script>"


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    yield place
    place.close()


def test_from_the_first_points_to_the_report(workplace: Workplace) -> None:
    results = workplace.folder / "results"
    suite = workplace.suite(
        [{"name": "slow", "params": {"pause": 0.4}}], seeds=1, evaluation={"every": 10, "episodes": 1}
    )
    results.mkdir()
    with viewing(results, workplace.environment) as viewer:
        run = workplace.start(suite, "--quiet")
        seen = []

        def reached() -> bool:
            (folder,) = viewer.state()["folders"] or [{}]
            live = (folder.get("live") if folder.get("cells") else None) or {"curves": []}
            seen[:] = [folder for curve in live["curves"] if not curve["ended"] and len(curve["env_steps"]) >= 2]
            return bool(seen)

        wait_until(reached, "two evaluation points of a run under way", 120)
        folder = seen[0]
        assert (folder["path"], folder["alive"]) == ("trial", True)
        assert folder["live"]["runs"] == 1
        assert [(cell["algorithm"], len(cell["states"])) for cell in folder["cells"]] == [("slow", 1)]
        for job in folder["live"]["jobs"]:
            assert b"training" in viewer.get(f"/log/trial/{job['log'].replace('%', '%25')}").body
        page = viewer.get("/")
        assert b"/static/live.js" in page.body
        run.communicate(timeout=120)
        assert run.returncode == 0
        assert not (results / "trial" / LIVE_FILE).exists()
        wait_until(lambda: viewer.state()["done"], "the report of all runs", 120)
        first = viewer.get("/")
        assert (first.status, first.headers["location"]) == (307, "/files/report/report.html")
        shown = viewer.get("/files/report/report.html").body
        assert viewer.get("/live").body == page.body
        code, errors = viewer.interrupt()
        assert (code, errors) == (130, "")
    assert run_apart("report", str(results), "--out", str(workplace.folder / "out")).code == 0
    assert shown == (workplace.folder / "out" / "report.html").read_bytes()
    assert not (results / "report").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run failed and one is missing, so that there is nothing to report; a shard under way; links that lead out."""
    base = tmp_path_factory.mktemp("view")
    store = Store(base / "results" / "made")
    runs = [record("bandit/10-arm", "ppo", 0, status="failed", error=HOSTILE)]
    runs[0].provenance["log"] = "logs/a%2Fb/seed-0.log"
    put_plan(store, runs, [0, 1], suite="made")
    put(store, runs[0])
    (store.root / "logs" / "a%2Fb").mkdir(parents=True)
    (store.root / "logs" / "a%2Fb" / "seed-0.log").write_text(f"said {HOSTILE}\n")
    (base / "secret.log").write_text("secret")
    (base / "elsewhere" / "logs").mkdir(parents=True)
    (base / "elsewhere" / "plan.json").write_text("{}")
    (base / "elsewhere" / "logs" / "x.log").write_text("secret")
    (base / "elsewhere" / "seed-0.json").write_text("secret")
    (store.root / "logs" / "out.log").symlink_to(base / "secret.log")
    (base / "results" / "linked").symlink_to(base / "elsewhere")
    (base / "results" / "by-shards").mkdir()
    (base / "results" / "by-shards" / "plan.json").write_text("{}")
    (base / "results" / "by-shards" / "shards").symlink_to(base)
    shard = store.root / "shards" / "1-of-2"
    shard.mkdir(parents=True)
    state = LiveState(
        written=time.time(), host=HOSTILE, process=1, seconds=5.0, runs=2, finished=0, failed=0, waiting=0, workers=1,
        seconds_left=None, scored=[], jobs=[], curves=[], curves_left_out=0, failures=[],
    )  # fmt: skip
    (shard / LIVE_FILE).write_text(state.model_dump_json())
    return base / "results"


@pytest.fixture(scope="module")
def viewer(folder: Path) -> Iterator[Viewer]:
    with viewing(folder) as found:
        wait_until(lambda: found.state()["looked"], "the first look", 60)
        yield found


def test_failures_shards_and_logs(viewer: Viewer) -> None:
    state = viewer.state()
    by_shards, made, shard = state["folders"]
    assert (by_shards["path"], made["path"], shard["path"]) == ("by-shards", "made", "made/shards/1-of-2")
    assert "plan.json" in by_shards["problem"]
    assert (made["alive"], shard["alive"], shard["live"]["runs"]) == (False, True, 2)
    assert [cell["states"] for cell in made["cells"]] == ["f."]
    (failure,) = made["failures"]
    assert HOSTILE in failure["message"]
    assert failure["seeds"] == [0]
    folder = made["cells"][0]["folder"].replace("%", "%25")
    run = viewer.get(f"/run/made/{folder}/seed-0.json")
    assert run.status == 200
    assert b'"status":"failed"' in run.body
    log = viewer.get("/log/made/logs/a%252Fb/seed-0.log")
    assert (log.status, log.body.decode()) == (200, f"said {HOSTILE}\n")
    assert log.headers["content-type"].startswith("text/plain")


def test_the_reports_links_lead_to_records_and_logs(viewer: Viewer) -> None:
    cell = viewer.state()["folders"][1]["cells"][0]["folder"].replace("%", "%25")
    record = viewer.get(f"/files/made/{cell}/seed-0.json")
    assert (record.status, record.headers["content-type"]) == (200, "application/json")
    assert json.loads(record.body)["seed"] == 0
    log = viewer.get("/files/made/logs/a%252Fb/seed-0.log")
    assert (log.status, log.body.decode()) == (200, f"said {HOSTILE}\n")
    assert b"allow-popups allow-popups-to-escape-sandbox" in viewer.get("/live").body


def test_headers(viewer: Viewer) -> None:
    for target in ("/", "/state", "/static/live.js", "/nowhere", "/log/x"):
        headers = viewer.get(target).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", "10.0.0.1"]
)
def test_other_hosts_names_are_refused(viewer: Viewer, host: str) -> None:
    for target in ("/", "/state", "/log/made/logs/a%252Fb/seed-0.log"):
        answer = viewer.get(target, host=host)
        assert answer.status == 400
        assert b"made" not in answer.body
    assert viewer.get("/state", host="localhost:1").status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/log/../secret.log",
        "/log/%2e%2e/secret.log",
        "/log/made/logs/..%2f..%2f..%2fsecret.log",
        "/log/made/logs/..%5c..%5csecret.log",
        "/log//etc/hostname",
        "/log/%2fetc%2fhostname",
        "/log/made/logs/out.log",
        "/log/linked/logs/x.log",
        "/log/made/logs/%00.log",
        "/log/made/plan.json",
        "/log/made/logs",
        "/log/",
        "/run/made/plan.json",
        "/run/../secret.log",
        "/files/report/report.html",
        "/files/report/..%2f..%2fsecret.log",
        "/static/..%2flive.html",
        "/static/__init__.py",
        "/files/made/plan.json",
        "/files/made/logs/out.log",
        "/files/linked/logs/x.log",
        "/files/linked/seed-0.json",
        "/files/..%2fsecret.log",
        "/made/logs/a%252Fb/seed-0.log",
    ],
)
def test_what_is_not_in_the_folder_is_not_shown(viewer: Viewer, target: str) -> None:
    answer = viewer.get(target)
    assert answer.status == 404, answer
    assert b"secret" not in answer.body


@pytest.mark.parametrize("name", ["report", "log", "run", "files", "state", "live", "static"])
def test_a_suite_may_have_any_name(folder: Path, tmp_path: Path, viewer: Viewer, name: str) -> None:
    """Of the view's own addresses, too: what the report links is apart from them."""
    store = Store(folder / name)
    run = record("bandit/10-arm", "ppo", 0, suite=name)
    put(store, run)
    (store.root / "logs").mkdir()
    (store.root / "logs" / "x.log").write_text(f"of {name}")
    cell = quote(next(store.root.glob("*--*")).name)
    try:
        assert viewer.get(f"/files/{name}/{cell}/seed-0.json").body == run.to_json().encode()
        for address in ("files", "log"):
            assert viewer.get(f"/{address}/{name}/logs/x.log").body == f"of {name}".encode()
        assert b'"status":"done"' in viewer.get(f"/run/{name}/{cell}/seed-0.json").body
    finally:
        shutil.rmtree(store.root)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_only_reads(viewer: Viewer, method: str) -> None:
    for target in ("/", "/state", "/run/made/x"):
        assert viewer.get(target, method=method).status == 405


def test_what_cannot_be_viewed(viewer: Viewer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = run_here(capsys, "view", str(folder), "--port", str(viewer.port), "--no-open")
    assert taken.code == 4
    assert f"cannot listen on port {viewer.port}" in taken.err
    assert "--port 0" in taken.err
    nowhere = run_here(capsys, "view", str(folder / "nowhere"))
    assert (nowhere.code, nowhere.out) == (4, "")
    assert "no such folder" in nowhere.err


def test_without_its_packages_it_says_what_to_install(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haepo_bench.cli.view.importlib.util.find_spec", lambda name: None)
    absent = run_here(capsys, "view", str(folder))
    assert (absent.code, absent.out) == (4, "")
    assert "pip install 'haepo-bench[view]'" in absent.err


def test_a_browser_is_opened_where_it_has_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BROWSER", "lynx")
    assert not _has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert _has_display()


def test_lines_have_the_reports_colours(viewer: Viewer) -> None:
    sheet = viewer.get("/static/live.css").body.decode()
    light, dark = re.findall(r":root \{ (--c0[^}]*) \}", sheet)
    for shown, colours in ((light, COLOURS), (dark, DARK_COLOURS)):
        assert shown == " ".join(f"--c{i}: {colour};" for i, colour in enumerate(colours))
    assert b"--page" in viewer.get("/static/page.css").body
    assert b"function ticks" in viewer.get("/static/scales.js").body


def test_it_loads_no_training_library(folder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from starlette.routing import Route
from haepo_bench.live.server import application
import haepo_bench.cli.main
from haepo_bench.live.watching import Watched
watched = Watched(Path({str(folder)!r}), Path({str(tmp_path)!r}))
watched.look()
watched.snapshot()
assert [route.path for route in application(watched).routes][:2] == ["/", "/live"]
heavy = {{"torch", "gymnasium", "stable_baselines3", "matplotlib", "pandas", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
