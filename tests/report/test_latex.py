"""Tables for LaTeX: each with a label, without prose between them, and such that LaTeX takes them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic_runs import showcase

from haepo_bench.report.files import render
from haepo_bench.report.numbers.build import build_report

ENGINE = shutil.which("pdflatex")
PAPER = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,array}
\extrafloats{500}
\begin{document}
TABLES
\end{document}
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("results") / "made-up"
    return render(
        build_report(showcase(root, seeds=3, marks=4, only=("bandit/10-arm", "gym/Pendulum-v1")).root), "latex"
    )


def test_every_table_has_a_label_of_its_own(tables: str) -> None:
    count = tables.count(r"\begin{table}")
    labels = re.findall(r"\\label{(tab:made-up:[a-z0-9-]+)}", tables)
    assert count == len(labels) == len(set(labels)) > 4
    assert any("bandit-10-arm" in label for label in labels)


def test_nothing_but_comments_is_between_tables(tables: str) -> None:
    rest = re.sub(r"(?s)\\begin{table}.*?\\end{table}", "", tables)
    assert [line for line in rest.splitlines() if line and not line.startswith("%")] == []


@pytest.mark.skipif(ENGINE is None, reason="LaTeX is not installed (Debian: texlive-latex-recommended)")
def test_latex_takes_them(tables: str, tmp_path: Path) -> None:
    (tmp_path / "paper.tex").write_text(PAPER.replace("TABLES", tables), encoding="utf-8")
    command = [str(ENGINE), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "multiply defined" not in done.stdout
    # Readable on paper: as they are, neither over the margin nor over the page's end.
    assert "resizebox" not in tables
    assert "Float too large" not in done.stdout
    assert [wide for wide in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout) if float(wide) > 5] == []
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
