"""Tables for LaTeX: each with a label, without prose between them, and such that LaTeX takes them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic_runs import KINDS, folder_of, put, put_plan, record, showcase

from haepo_bench.report.files import render
from haepo_bench.report.latex_text import latex
from haepo_bench.report.numbers.build import build_report
from haepo_bench.results.store import Store

ENGINE = shutil.which("pdflatex")
NEEDS_LATEX = pytest.mark.skipif(ENGINE is None, reason="LaTeX is not installed (Debian: texlive-latex-recommended)")
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


def compiled(tables: str, tmp_path: Path) -> str:
    """What LaTeX said."""
    (tmp_path / "paper.tex").write_text(PAPER.replace("TABLES", tables), encoding="utf-8")
    command = [str(ENGINE), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "multiply defined" not in done.stdout
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    return done.stdout


@NEEDS_LATEX
def test_latex_takes_them(tables: str, tmp_path: Path) -> None:
    said = compiled(tables, tmp_path)
    # Readable on paper: as they are, neither over the margin nor over the page's end.
    assert "resizebox" not in tables
    assert "Float too large" not in said
    assert [wide for wide in re.findall(r"Overfull \\hbox \(([\d.]+)pt", said) if float(wide) > 5] == []


#: Specials, commands, ligatures, letters of many scripts, an emoji, HTML, and what TeX would read a file with.
HOSTILE = (
    r"50%_$x^2$ ~\input{/etc/passwd} {}}{ \\ & # \end{table} --- `` '' <b>&amp;</b> |\"quoted\"| ^^M "
    "Grüße Łódź ŉ λ=0.95 ε≤1 Ω −3 √2 日本語 Привет عربي 😀 [0, 1]"
)


@NEEDS_LATEX
def test_latex_takes_names_of_all_kinds(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    runs = []
    for number in range(2):
        for seed in range(2):
            run = record(f"{HOSTILE} {number}", "ppo", seed, code_hash=str(number) * 64)
            more = {"label": HOSTILE, "footnote": HOSTILE}
            runs.append(
                run.model_copy(update={"information": KINDS["ppo"].model_copy(update=more), "notes": [HOSTILE]})
            )
    plan = put_plan(store, runs, [0, 1, 2], suite=HOSTILE, description=HOSTILE)
    folders = {cell["folder"]: f"cell--{i}--x" for i, cell in enumerate(plan["cells"])}
    for cell in plan["cells"]:
        cell["folder"] = folders[cell["folder"]]
    (store.root / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    for run in runs:
        path = store.path(folders[folder_of(run)], run.seed)
        path.parent.mkdir(exist_ok=True)
        path.write_text(run.to_json(), encoding="utf-8")
    tables = render(build_report(store.root), "latex")
    assert tables.count(r"\DeclareRobustCommand{\otherchar}") == 1
    said = compiled(tables, tmp_path)
    assert "Missing character" not in said
    # The characters that this engine lacks are named.
    assert shutil.which("pdftotext") is None or "U+1F600" in text_of(tmp_path / "paper.pdf")


def text_of(pdf: Path) -> str:
    done = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True, check=True)
    assert "root:" not in done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a_b%$&#{}", r"a\_b\%\$\&\#\{\}"),
        ("α\\", r"\ensuremath{\alpha}\textbackslash{}"),
        ("–é€", "–é€"),
        ("日", r"\otherchar{日}{U+65E5}"),
        ("---", "-{}-{}-"),
        ("`a` ''", r"\textasciigrave{}a\textasciigrave{} '{}'"),
    ],
)
def test_text_for_latex(text: str, expected: str) -> None:
    assert latex(text) == expected


def test_folders_side_by_side_are_a_table(tmp_path: Path) -> None:
    folders = []
    for name in ("monday", "tuesday"):
        put(Store(tmp_path / name / "made-up"), *(record(seed=seed) for seed in range(2)))
        folders.append(tmp_path / name)
    tables = render(build_report(*folders), "latex")
    assert r"\caption{Side by side}" in tables
    assert tables.count(r"\label{tab:folders:side-by-side}") == 1
