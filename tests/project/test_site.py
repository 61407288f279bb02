"""The documentation: links resolve, lines fit, words are the field's, and what is generated or quoted is true."""

import ast
import re
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cli_support import ROOT

from haepo_bench import api
from haepo_bench.errors import ExitCode

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
#: Printed by the program, a paragraph or an entry a line.
GENERATED = {DOCS / "reference" / "algorithms.md", DOCS / "reference" / "command-line.md"}
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")

#: What was read as translated, and what to say instead.
WORDS = {
    r"\btold\b": "feedback, receives",
    r"\b(?:common|between|at|each|last|every|shared|at a|the|this|that) marks?\b|\brun and mark\b": "evaluation point",
    r"\b(?:seconds|steps|rows?|lines?|files?|loss|hours|nats|bytes|trajectories|points|one)"
    r" an? (?:seed|run|step|cell|gate|task|batch|episode|response|mark|recording)\b": "per seed, per run, per step",
    r"\breadings\b|\b(?:a|each|every|same|weighted|any) reading\b|\b[Rr]eading [A-F]\b": "variant, interpretation",
    r"(?<![Hh]ere )\b(?:is|are|was|were) no\b(?! (?:longer|more))": "is not a",
    r"\b(?:[AB]|candidate|gold) less (?:[AB]|baseline|gold)\b|\bless (?:gold's|that at)\b": "minus",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"[Nn]obody said|nothing is said|\b[Ss]omebody\b|\b[Ww]hoever\b": "not stated; name the subject",
    r"\bstands? (?:in for|beside|in a|in the)\b|\bstand beside\b": "is in, is next to",
    r"\b(?:runs|results|files|figures|it) (?:lie|lies)\b|\blies? (?:there|beside|together)\b": "are in",
    r"\b(?:pays?|paid)\b": "rewards, receives, costs",
    r"\b[Pp]rovisional": "untuned, or with default hyper-parameters",
    r"\bhouse plan\b|\b(?:ground )?rooms\b|\bcontracts at the(?:ir)? doors\b": "architecture, packages, entry points",
}
#: Where a word is meant as it says: the end of the page's path, and the line's text.
MEANT = [
    ("CODE_OF_CONDUCT.md", ""),  # about people, in everyday words
    ("reference/tasks.md", "Are contexts told apart?"),
    ("reference/tasks.md", "explore rooms that it sees"),
]


def prose(page: Path) -> str:
    """A page's text, with as many lines, but without code."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"`[^`\n]*`", "``", FENCE.sub(lambda m: "\n" * m[0].count("\n"), text))


def unlike_the_field(text: str, place: str) -> list[str]:
    """Each expression of `WORDS` in a text, with its place and what to say instead."""
    return [
        f"{place}:{number}: '{match[0]}': rather {better}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, better in WORDS.items()
        if (match := re.search(pattern, line))
        and not any(place.endswith(end) and allowed in line for end, allowed in MEANT)
    ]


def anchors(page: Path) -> set[str]:
    """What `#...` may name there, as code hosts and the site make it of headings."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE):
        slug = re.sub(r"[^\w -]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        before = sum(re.fullmatch(rf"{re.escape(slug)}(?:-\d+)?", other) is not None for other in found)
        found.append(f"{slug}-{before}" if before else slug)
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_images_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), target
        assert ROOT in there.parents, target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_lines_fit_and_words_are_the_fields(page: Path) -> None:
    long = [line for line in page.read_text(encoding="utf-8").splitlines() if len(line) > 160 and line[:1] != "|"]
    long = [] if page in GENERATED else long
    # The README's first command is one line, so that it can be copied.
    assert [line for line in long if not line.startswith("python3 -m venv")] == []
    assert unlike_the_field(prose(page), page.as_posix()) == []


def test_the_programs_words_are_the_fields() -> None:
    """What it prints, its docstrings, and the suites that come with it; names of keys are no words."""
    found = [each for text in messages() if not text.isidentifier() for each in unlike_the_field(text, repr(text[:60]))]
    for suite in sorted((ROOT / "suites").glob("*.yaml")):
        found += unlike_the_field(suite.read_text(encoding="utf-8"), suite.as_posix())
    assert found == []


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("what each algorithm was told", True),
        ("at the last mark", True),
        ("| `=` | mark |", False),
        ("seconds a seed", True),
        ("seconds per seed", False),
        ("a seed that diverged", False),
        ("it is no comparison", True),
        ("there is no overall number", False),
        ("B less A", True),
        ("training pays", True),
    ],
)
def test_the_list_of_words_finds_them(text: str, bad: bool) -> None:
    assert any(re.search(pattern, text) for pattern in WORDS) == bad


def test_every_page_and_image_is_led_to() -> None:
    led_to = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        led_to |= {(page.parent / target.partition("#")[0]).resolve() for target in LINK.findall(text)}
    assert set((DOCS / "images").iterdir()) <= led_to
    assert {page for page in PAGES if DOCS in page.parents} - {DOCS / "index.md"} <= led_to


def test_the_commands_page_is_that_of_the_program() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "command_line_page.py"))
    page = tool["PAGE"].read_text(encoding="utf-8")
    assert tool["with_commands"](page) == page, "run: python tools/command_line_page.py"
    assert "### `haepo-bench run`" in page
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page.partition("## Commands")[0], flags=re.MULTILINE)}
    assert codes == {int(code) for code in ExitCode}


def messages() -> Iterator[str]:
    """Everything that the program's sources hold as text, `{}` where values are put in."""
    for path in (ROOT / "haepo_bench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def test_troubleshooting_quotes_what_the_program_says() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page, flags=re.MULTILINE)
    assert len(quoted) > 35
    said = "\n".join(messages())
    for message in quoted:
        for part in message.split("..."):
            assert part.strip(" '():;,") in said, message


def test_the_python_page_is_made_of_the_public_names() -> None:
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    assert ".. automodule:: haepo_bench.api\n   :members:" in page
    for name in api.__all__:
        assert (getattr(api, name).__doc__ or "").strip(), name


def test_each_figure_says_what_made_it() -> None:
    figures = runpy.run_path(str(ROOT / "tools" / "figures.py"))["FIGURES"]
    page = (DOCS / "explanation" / "figures.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+\.png)` \|.*\| (.*) \| [0-9a-f]{7}(?: \*)? \|$", page, flags=re.MULTILINE))
    assert set(rows) == set(figures) == {path.name for path in (DOCS / "images").iterdir()}
    for name, figure in figures.items():
        if figure.suite:
            assert (ROOT / "suites" / f"{figure.suite}.yaml").is_file()
            assert f"run {figure.suite}`" in rows[name]
        if figure.script:
            assert (ROOT / figure.script[0]).is_file()
            assert Path(figure.script[0]).name in rows[name]
            assert "OUT" in figure.script


def test_the_changelog_begins_with_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    releases = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert re.match(r"\d+\.\d+\.\d+", releases[0]), releases[0]
    assert releases[0].split()[0] == version
    for release in releases:
        sections = re.findall(r"^### (.*)$", release, flags=re.MULTILINE)
        assert sections
        assert sections == [name for name in ("Added", "Changed", "Fixed", "Removed") if name in sections]


def test_the_checks_build_the_site_and_try_the_release() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for step in ("sphinx-build -q -E -n -W", "-m build", "twine check --strict", "validate quickstart"):
        assert step in script
    compile((DOCS / "conf.py").read_text(encoding="utf-8"), "conf.py", "exec")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert "tools/command_line_page.py" in " ".join(hook["entry"] for hook in hooks)
