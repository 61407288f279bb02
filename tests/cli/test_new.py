"""From an empty folder to a verdict on an algorithm of one's own: the file, the suite, three commands."""

from pathlib import Path

import pytest
from cli_support import run_apart, run_here


@pytest.mark.slow
def test_a_loss_in_one_file_to_a_verdict(tmp_path: Path) -> None:
    commands = [
        ["new", "algorithm", "median.py"],
        ["run", "median.yaml", "--quiet", "--set", "budget.env_steps=500", "--set", "seeds=2"],
        ["report", "results/median", "--format", "md", "--out", "pages"],
    ]
    for command in commands:
        outcome = run_apart(*command, cwd=tmp_path)
        assert outcome.code == 0, (command, outcome.err)
    written = (tmp_path / "median.py").read_text().splitlines()
    code = [line for line in written if line.strip() and not line.strip().startswith(("#", '"""'))]
    assert len(code) <= 15
    page = next((tmp_path / "pages").rglob("*.md")).read_text()
    assert "median" in page
    assert "verdict" in page.lower()


def test_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, said in (
        ("a.txt", "cannot be imported"), ("1.py", "cannot be imported"), ("none.py", "cannot be the name of"),
        ("_.py", "cannot be the name of"), ("null.py", "cannot be the name of"), ("gone/a.py", "cannot be written"),
    ):  # fmt: skip
        outcome = run_here(capsys, "new", "algorithm", name)
        assert (outcome.code, said in outcome.err) == (4, True), name
    (tmp_path / "mine.yaml").write_text("mine")
    outcome = run_here(capsys, "new", "algorithm", "mine.py")
    assert outcome.code == 4
    assert "mine.yaml: exists already" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
