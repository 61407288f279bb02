"""`haepo-bench run --view`: a view beside the run, as long as it."""

import http.client
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from execution_support import Workplace, wait_until
from live_support import Viewer

pytest.importorskip("starlette", reason="starlette is not installed (extra: view)")
pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra: view)")


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        place.environment.pop(name, None)
    yield place
    place.close()


def start(workplace: Workplace, pause: float) -> Viewer:
    """The run, with the port of its view."""
    suite = workplace.suite([{"name": "slow", "params": {"pause": pause}}], seeds=1)
    run = workplace.start(suite, "--quiet", "--view")
    assert run.stderr is not None
    line = run.stderr.readline()
    assert line.startswith("http://127.0.0.1:"), line
    return Viewer(run, int(line.split("/")[2].split(":")[1]))


def gone(viewer: Viewer) -> bool:
    try:
        viewer.get("/state")
    except (ConnectionError, http.client.HTTPException):
        return True
    return False


def test_a_view_ends_with_the_run(workplace: Workplace) -> None:
    viewer = start(workplace, 0.2)
    wait_until(lambda: [each["alive"] for each in viewer.state()["folders"]] == [True], "the run on the page", 60)
    out, errors = viewer.process.communicate(timeout=120)
    assert (viewer.process.returncode, errors) == (0, "")
    assert "next: haepo-bench report" in out
    assert gone(viewer)


def test_a_view_is_gone_when_the_run_was_killed(workplace: Workplace) -> None:
    viewer = start(workplace, 60.0)
    viewer.process.kill()
    viewer.process.wait(60)
    wait_until(lambda: gone(viewer), "the end of the view", 60)


def test_a_run_goes_on_where_its_view_cannot_start(workplace: Workplace) -> None:
    broken = workplace.folder / "site" / "uvicorn"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('broken')\n")
    suite = workplace.suite([{"name": "fast"}], seeds=1)
    run: subprocess.Popen[str] = workplace.start(suite, "--quiet", "--view")
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    assert (workplace.folder / "results" / "trial" / "plan.json").is_file()
