"""`haepo-bench doctor` tries what a run does, and says which package is to blame where that fails."""

import importlib.metadata as metadata
import os
import re
import stat
from pathlib import Path

import pytest
from cli_support import ROOT, run_apart, run_here

from haepo_bench.cli import installation, probes
from haepo_bench.cli.probes import PROBES, ProbeOutcome


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every probe did what it should."""
    monkeypatch.setattr(probes, "make", lambda chosen: [(probe, ProbeOutcome("")) for probe in chosen])


def line(out: str, subject: str) -> str:
    found = re.search(rf"^  (?:ok|PROBLEM) +{subject}  .*$", out, re.MULTILINE)
    assert found, subject
    return " ".join(found[0].split())


def test_what_works(tmp_path: Path) -> None:
    code, out, err = run_apart("doctor", "--results", str(tmp_path / "not" / "yet"))
    assert (code, err) == (0, ""), out
    for subject in ("python", "numpy", "cores", "memory", "git", "cuda", "extra test", "results"):
        assert line(out, subject).startswith("ok")
    for probe in PROBES:
        if all(map(installation.version, probe.packages)) and probe.subject != "cuda":
            assert f"can {probe.does}" in line(out, probe.subject)
    assert not (tmp_path / "not").exists()


BROKEN = {
    "transformers": "raise AttributeError('no attribute\\n  dtype')",
    "datasets": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
}


def test_packages_that_are_installed_and_broken(tmp_path: Path) -> None:
    """One that raises and one that kills its process; the others are tried all the same."""
    for name, text in BROKEN.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    code, out, err = run_apart("doctor", environment={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert code == 4
    assert "Traceback" not in out + err
    says = line(out, "extra lm")
    assert says.startswith(
        "PROBLEM extra lm cannot sample from the tiny model and train it: AttributeError: no attribute dtype; "
        f"transformers {metadata.version('transformers')} (needed: "
    )
    assert f"cannot hold a data set: the process died of SIGSEGV; datasets {metadata.version('datasets')} (" in says
    assert line(out, "extra lora").startswith("PROBLEM extra lora cannot train an adapter: AttributeError")
    for subject in ("torch", "gymnasium", "stable-baselines3", "extra parquet", "extra tensorboard"):
        assert line(out, subject).startswith("ok")
    assert "2 to fix" in err


def test_a_package_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "datasets.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    (probe,) = (probe for probe in PROBES if probe.packages == ("datasets",))
    assert probes.make([probe], 1.0) == [(probe, ProbeOutcome("no answer within 1 s"))]


def test_the_versions_that_are_known_to_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "make", lambda chosen: [(probe, ProbeOutcome("it broke")) for probe in chosen[:1]])
    monkeypatch.setattr(installation, "_locked", lambda: {"torch": ["2.12.0", "2.13.0"]})
    code, out, _ = run_here(capsys, "doctor")
    assert code == 4
    says = line(out, "torch")
    assert f"cannot train a policy: it broke; torch {metadata.version('torch')} (needed: " in says
    assert says.endswith("; known to work: 2.12.0 or 2.13.0)")


def test_a_lock_is_read() -> None:
    lock = """# made by uv
numpy==2.2.6 ; python_full_version < '3.12'
    # via pandas
numpy==2.4.6 ; python_full_version >= '3.12'
Stable_Baselines3==2.9.2
"""
    assert installation.pinned(lock) == {"numpy": ["2.2.6", "2.4.6"], "stable-baselines3": ["2.9.2"]}


@pytest.mark.usefixtures("untried")
def test_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = installation.version
    others = {"scipy": None, "hypothesis": None, "numpy": "1.2"}
    monkeypatch.setattr(installation, "version", lambda name: others[name] if name in others else real(name))
    file = tmp_path / "file"
    file.write_text("")
    code, out, err = run_here(capsys, "doctor", "--results", str(file / "results"))
    assert code == 4
    assert line(out, "scipy") == "PROBLEM scipy missing: pip install scipy"
    assert line(out, "extra test").startswith("ok extra test not installed: hypothesis (pip install")
    assert line(out, "numpy").startswith("ok numpy 1.2 (needed: >=")
    assert line(out, "results").startswith("PROBLEM")
    assert "2 to fix" in err


def test_where_nothing_is_installed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", nowhere)
    code, out, _ = run_here(capsys, "doctor")
    assert code == 4
    assert "pip install -e ." in out


@pytest.mark.usefixtures("untried")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, out, _ = run_here(capsys, "doctor", "--results", str(tmp_path))
    assert code == 4
    assert "cannot be written" in out
