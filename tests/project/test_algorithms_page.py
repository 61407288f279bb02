"""docs/reference/algorithms.md and what `describe` and `list` say of algorithms."""

import ast
import io
import tokenize
from pathlib import Path

import pytest
from cli_support import ROOT, run_here

import haepo_bench
from haepo_bench import catalogue
from haepo_bench.cli.algorithms import algorithms_page, facts
from haepo_bench.training.episodes.algorithm import NativeDefinition

PUBLISHED = ROOT / "docs" / "reference" / "algorithms.md"
OBJECTIVES = sorted((Path(haepo_bench.__file__).parent / "objectives").glob("*.py"))


def test_the_published_page_is_that_of_the_code() -> None:
    assert PUBLISHED.read_text() == algorithms_page(), "run: haepo-bench describe --all > docs/reference/algorithms.md"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "describe", "--all") == (0, PUBLISHED.read_text(), "")


@pytest.mark.parametrize("arguments", [(), ("grpo", "--all")])
def test_describe_takes_one_name_or_all(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(capsys, "describe", *arguments)
    assert (code, out) == (4, "")
    assert "one name, or --all" in err


@pytest.mark.parametrize("name", catalogue.ALGORITHMS)
def test_the_page_has_what_describe_prints(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, described, _ = run_here(capsys, "describe", name)
    page = PUBLISHED.read_text()
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    definition = catalogue.algorithm(name)
    assert definition.description.strip() in described
    # What a family shares is printed once, with its first member.
    for part in definition.description.strip().split("\n\n"):
        assert part in (page if part in definition.common else section)
    assert definition.common == "" or page.count(definition.common) == 1
    for fact, value in facts(definition):
        assert f"  {fact.ljust(10)}  {value}" in described
        assert f"- {fact}: {value}\n" in section
    shared = page.partition("## Trainer settings")[2]
    for parameter in definition.describe_parameters():
        assert f"`{parameter.name}`" in section + (
            shared if isinstance(definition, NativeDefinition) or name == "dpo-offline" else ""
        )
    assert definition.confidence.split(" ")[0].rstrip(":") in ("high", "medium", "low")


def test_list_says_how_sure_a_formula_is(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run_here(capsys, "list", "algorithms")
    lines = {line.split()[0]: line for line in out.splitlines()}
    for name, entry in catalogue.ALGORITHMS.items():
        assert lines[name].endswith(f"{entry.summary} (confidence: {entry.confidence})")


def test_what_objectives_need_is_said() -> None:
    needs = {name: dict(facts(catalogue.algorithm(name)))["needs"] for name in catalogue.ALGORITHMS}
    pair = "at least two trajectories per group, to compare with each other"
    assert needs["dppo"] == f"{pair}; discrete actions"
    assert needs["ipo"] == f"{pair}; trajectories that start alike"
    assert needs["qrpo"].startswith("50 episodes of the reference policy")
    assert "temperatures 1.2 and 0.8" in needs["dcpo"]
    assert needs["grpo"] == pair
    assert needs["reinforce-pp"] == pair.replace("group", "batch")
    assert needs["ppo"] == needs["dpo-offline"] == "nothing else"


def code_lines(path: Path) -> int:
    """Lines with code on them: no docstrings, comments or blank lines."""
    source = path.read_text()
    tree = ast.parse(source)
    prose: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body and ast.get_docstring(node):
            prose |= set(range(body[0].lineno, body[0].end_lineno + 1))
    marks = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in marks]
    return len({line for t in tokens for line in range(t.start[0], t.end[0] + 1)} - prose)


@pytest.mark.parametrize("path", OBJECTIVES, ids=lambda path: path.stem)
def test_an_algorithm_is_one_small_file(path: Path) -> None:
    """base.py is the contract of all; haepo.py has three variants and what they share; spaces.py is no algorithm."""
    assert code_lines(path) <= {"base": 170, "haepo": 140, "spaces": 115}.get(path.stem, 80)
