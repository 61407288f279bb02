"""Tables, figures and pages: complete, the same each time, and safe whatever the names are."""

import csv
import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from synthetic_runs import FOOTNOTE, KINDS, put, put_plan, record, showcase

from haepo_bench.report.csv_files import more_csv
from haepo_bench.report.document import ReportDocument
from haepo_bench.report.figures.formats import STYLES, FigureRequest
from haepo_bench.report.figures.sheet import SavedFigure, drawing, line_style, save
from haepo_bench.report.figures.suite import file_names, suite_figures, suite_pictures
from haepo_bench.report.files import Format, render, write_report
from haepo_bench.report.latex_text import DEFINITION, latex
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.page.html import adaptive, to_html
from haepo_bench.report.styles import suite_styles
from haepo_bench.report.tables.per_task import return_decimals
from haepo_bench.results.store import Store
from haepo_bench.text import (
    csv_text,
    markdown,
    markdown_list,
    markdown_table,
    plain,
    plain_lines,
    shorten,
)
from haepo_bench.wording import fixed

SCRIPT = "<script>alert(1)</script>"
NASTY = f'{SCRIPT} $x^2$ & 50% #1 _u_ *b* `c` | \\cmd{{~}} [a](b) "q" 😀 \x1b[31m \u202e ' + "very long " * 30


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> ReportDocument:
    return build_report(showcase(tmp_path_factory.mktemp("results") / "made-up", seeds=5, marks=5).root)


@pytest.fixture(scope="module")
def pictures(document: ReportDocument) -> dict[str, list[SavedFigure]]:
    return suite_pictures(document.suites[0])


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> ReportDocument:
    """A report in which every text that a user or plugin writes is hostile."""
    information = KINDS["haepo-weighted"].model_copy(update={"label": NASTY, "footnote": NASTY})
    store = Store(tmp_path_factory.mktemp("results"))
    for seed in range(2):
        run = record(NASTY, seed=seed, status="diverged" if seed else "done", error=NASTY if seed else None)
        fields = {"algorithm": NASTY, "uses": NASTY, "suite": NASTY, "notes": [NASTY], "information": information}
        run = run.model_copy(update={**fields, "provenance": {NASTY: {"x": NASTY}, "started": "2026"}})
        put_as = store.path("a--b--c", seed)
        put_as.parent.mkdir(exist_ok=True)
        put_as.write_text(run.to_json())
    (store.root / "a--b--c" / "seed-7.json").write_text(f'{{"format_version": 1, "{SCRIPT}": 2}}')
    return build_report(store.root)


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_format_names_every_algorithm_with_its_reading(document: ReportDocument) -> None:
    forms: list[Format] = ["md", "csv", "json", "latex"]
    for form in forms:
        text = render(document, form)
        for name in KINDS:
            assert name.replace("--", "-{}-") in text
        assert FOOTNOTE in text.replace("\\", "")
        assert "the environment went away" in text
        assert "the loss is not finite" in text
        for line in text.splitlines():
            if re.search(r"\bHAEPO\b", line) and form != "json":
                assert re.search(r"HAEPO \(variant [ABE]", line)


def test_tables_without_haepo_carry_no_footnote(tmp_path: Path) -> None:
    put(Store(tmp_path), record())
    assert FOOTNOTE not in render(build_report(tmp_path), "md")


def test_markdown_shows_scores_only_where_there_are_references(document: ReportDocument) -> None:
    sections = render(document, "md").split("\n## ")
    scored = next(part for part in sections if part.startswith("gym/CartPole-v1"))
    unscored = next(part for part in sections if part.startswith("gym/Pendulum-v1"))
    assert "Final score, sampled" in scored
    assert "Area under score curve" in scored
    assert "core" not in unscored.split("###")[0]
    assert "Mean return over training" in unscored


def test_csv_has_one_row_a_measure_and_full_precision(document: ReportDocument) -> None:
    rows = list(csv.DictReader(io.StringIO(render(document, "csv"))))
    keys = [(row["task"], row["algorithm"], row["measure"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert len(rows[0]) <= 15
    (row,) = (row for row, key in zip(rows, keys, strict=True) if key == ("gym/CartPole-v1", "ppo", "area"))
    task = next(task for task in document.suites[0].tasks if task.task == "gym/CartPole-v1")
    result = next(result for result in task.algorithms if result.algorithm == "ppo")
    assert result.area is not None
    numbers = [float(row[part]) for part in ("mean", "low", "high", "n")]
    assert numbers == [result.area.mean, result.area.low, result.area.high, result.area.n]
    measures = {key[2] for key in keys if key[:2] == ("gym/CartPole-v1", "ppo")}
    costs = {name for name, value in result.cost.items() if value is not None}
    assert costs
    assert {"policy_entropy", "final_score", *costs} <= measures
    # Without references there is no score.
    assert ("gym/Pendulum-v1", "ppo", "area") not in keys


def test_the_wide_table_has_one_row_an_algorithm(document: ReportDocument) -> None:
    rows = list(csv.DictReader(io.StringIO(more_csv(document)["wide.csv"])))
    assert len(rows) == 24
    (row,) = (row for row in rows if (row["task"], row["algorithm"]) == ("gym/CartPole-v1", "ppo"))
    assert (row["told"], row["critic"], row["discount"]) == ("per-step rewards", "True", "0.98")
    (pendulum,) = (row for row in rows if (row["task"], row["algorithm"]) == ("gym/Pendulum-v1", "ppo"))
    assert pendulum["area_mean"] == ""


def test_figures_are_one_a_task_and_axis_and_an_overview(pictures: dict[str, list[SavedFigure]]) -> None:
    names = ("overview", "bandit_10-arm", "random-walk_20", "gym_CartPole-v1", "gym_Pendulum-v1")
    expected = {f"{name}-{x}" for name in names for x in ("steps", "seconds")} | {"intervals", "profiles", "evidence"}
    expected |= {f"{name}-diagnostics" for name in names[1:]}
    found = [picture.name for group in pictures.values() for picture in group]
    assert set(found) == expected
    assert len(found) == len(expected)
    for picture in (picture for group in pictures.values() for picture in group):
        assert picture.files["png"].startswith(b"\x89PNG")
        text = " ".join(" ".join(ElementTree.fromstring(picture.files["svg"]).itertext()).split())
        assert FOOTNOTE in text
        assert "haepo-weighted*" in text
        if picture.name == "evidence":
            assert "Evidence for each claim above the middle" in text
            continue
        if picture.name == "profiles":
            assert "pointwise 95 % interval" in text
            continue
        assert "95 % interval" in text or "95 % t interval" in text
        assert ("training seconds" in text) == picture.name.endswith("-seconds")
        if picture.name == "intervals" or picture.name.endswith("-diagnostics"):
            continue
        assert "HAEPO (variant A, weighted)" in text
        if "overview" not in picture.name:
            assert "/5 seeds)" in text


def test_a_task_alone_has_no_overview(tmp_path: Path) -> None:
    put(Store(tmp_path), record())
    pictures = suite_pictures(build_report(tmp_path).suites[0])
    assert [picture.name for picture in pictures[""]] == ["intervals", "profiles"]
    assert "One seed each" in pictures["bandit/10-arm"][0].files["svg"].decode()


def test_curves_without_any_extent_are_drawn(tmp_path: Path) -> None:
    run = record(returns=[-500.0] * 5, references=None)
    run = run.model_copy(update={"curve": {**run.curve, "wall_seconds": [1.5] * 5}})
    put(Store(tmp_path), run)
    steps, seconds = suite_pictures(build_report(tmp_path).suites[0])["bandit/10-arm"]
    # A marker is defined once and then used.
    assert re.search(r"<use [^>]*fill: #0072b2", seconds.files["svg"].decode())
    assert re.search(r"<use [^>]*fill: #0072b2", steps.files["svg"].decode())


def test_algorithms_look_different_and_the_same_everywhere(document: ReportDocument) -> None:
    styles = suite_styles(document.suites[0])
    looks = {
        result.algorithm: {
            str(line_style(styles.of(again.algorithm)))
            for task in document.suites[0].tasks
            for again in task.algorithms
            if again.algorithm == result.algorithm
        }
        for result in document.suites[0].tasks[0].algorithms
    }
    assert all(len(look) == 1 for look in looks.values())
    assert len(set.union(*looks.values())) == len(KINDS)


@pytest.mark.slow
def test_the_same_store_gives_the_same_bytes(document: ReportDocument, pictures: dict[str, list[SavedFigure]]) -> None:
    again = suite_pictures(document.suites[0])
    assert again == pictures
    assert to_html(document, [again]) == to_html(document, [pictures])


def test_files_hold_what_was_rendered(tmp_path: Path) -> None:
    put(Store(tmp_path), record())
    document = build_report(tmp_path)
    report, *figures = write_report(document, "csv", tmp_path / "out", FigureRequest(("pdf",)))
    assert report.read_text() == render(document, "csv")
    pictures = suite_pictures(document.suites[0], ("pdf",), style=STYLES["page"])
    every = [each for group in pictures.values() for each in group]
    by_name = {figure.name: figure.read_bytes() for figure in figures if figure.suffix == ".pdf"}
    assert by_name == {f"{each.name}.pdf": each.files["pdf"] for each in every}


def test_figures_have_the_sizes_and_fonts_of_their_style(tmp_path: Path) -> None:
    """Of NeurIPS: half the column for one panel and the column for several, in a font like Times that is embedded."""
    put(Store(tmp_path), record(), record("random-walk/20"))
    asked = FigureRequest(("pdf",), STYLES["neurips"])
    page, *files = write_report(build_report(tmp_path), "html", tmp_path / "out", asked)
    assert page.name == "report.html"
    found = {file.name: file.read_bytes() for file in files}
    captions = found.pop("captions.txt").decode()
    assert {name.rsplit(".")[-1] for name in found} == {"pdf"}
    for name, width in (("bandit_10-arm-steps.pdf", 2.7), ("overview-steps.pdf", 5.5), ("intervals.pdf", 5.5)):
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", found[name])
        assert box is not None
        assert float(box[1]) == pytest.approx(72 * width, abs=0.1)
        assert b"STIXGeneral" in found[name]
        assert b"DejaVu" not in found[name]
        assert b"CreationDate" not in found[name]
        assert f"{name[:-4]}\n" in captions
    assert "One seed each" in captions


def test_legends_leave_room(document: ReportDocument) -> None:
    """A legend takes less than a third of any figure, inside its edges; without footnotes no note is drawn."""
    for style in STYLES.values():
        with drawing(style):
            for each in suite_figures(document.suites[0], ("steps",)):
                if each.name not in {"overview-steps", "evidence", "bandit_10-arm-steps"}:
                    continue
                figure = each.draw(style=style)
                FigureCanvasAgg(figure)
                figure.draw_without_rendering()
                (legend,) = figure.legends
                box = legend.get_window_extent().transformed(figure.transFigure.inverted())
                assert box.height < 1 / 3
                assert (box.x0 > -0.01, box.x1 < 1.02, box.y0 > -0.01) == (True, True, True)
                assert all(axes.get_position().height > 0.15 for axes in figure.axes if axes.get_visible())
                assert not figure.texts
                # No blank below it.
                assert box.y0 < 0.05


def test_long_titles_do_not_reach_into_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    long = "gym/Vendor/An-environment-whose-name-is-long-"
    runs = [record(f"{long}{n}", marks=[0, 50, 100], returns=[0, 0.5, 1]) for n in range(3)]
    put_plan(store, runs, [0])
    put(store, *runs)
    (suite,) = build_report(store.root).suites
    for style in STYLES.values():
        with drawing(style), warnings.catch_warnings():
            # Such as that panels have no room left.
            warnings.simplefilter("error")
            overview = next(each for each in suite_figures(suite, ("steps",)) if each.name == "overview-steps")
            figure = overview.draw(style=style)
            save(figure, ("pdf",), tight=False)
            titles = [each for axes in figure.axes for each in axes.get_children() if isinstance(each, Text)]
            boxes = [each.get_window_extent() for each in titles if each.get_text().startswith("gym/")]
            assert len(boxes) == 3
            assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
            assert boxes[-1].x1 < figure.bbox.width


def test_the_page_is_complete_in_itself(document: ReportDocument, pictures: dict[str, list[SavedFigure]]) -> None:
    page = Page(to_html(document, [pictures]))
    # The program, and the data of the profiles and of each task's curves; their pictures for who runs no programs.
    assert page.tags.count("script") == 1 + 5
    assert page.tags.count("img") == 5 + ("evidence" in [picture.name for picture in pictures[""]])
    for _, name, value in page.attributes:
        if name == "src":
            assert value.startswith("data:image/svg+xml;base64,")
        if name == "href":
            assert value.startswith("#") or value == "data:,"
    targets = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href")} <= targets
    for text in (FOOTNOTE, "HAEPO (variant B, listwise)", "oracle preferences", "name: made-up", "2.13.0"):
        assert text in page.text


def test_pictures_follow_the_readers_colour_scheme(pictures: dict[str, list[SavedFigure]]) -> None:
    svg = adaptive(pictures["bandit/10-arm"][0].files["svg"].decode())
    ElementTree.fromstring(svg)
    assert "prefers-color-scheme:dark" in svg
    assert not re.search(r"(fill|stroke): #(0072b2|24292f)", svg)


def test_hostile_text_is_text_on_the_page(nasty: ReportDocument) -> None:
    pictures = suite_pictures(nasty.suites[0])
    page = Page(to_html(nasty, [pictures]))
    # None but the program and the data of the two charts.
    assert page.tags.count("script") == 3
    assert page.text.count(plain(NASTY)) >= 5
    assert not {name for _, name, _ in page.attributes if name.startswith("on")}


def test_hostile_text_is_text_in_the_figures(nasty: ReportDocument) -> None:
    (picture, _) = suite_pictures(nasty.suites[0])[plain(NASTY)]
    texts = [" ".join("".join(each.itertext()).split()) for each in ElementTree.fromstring(picture.files["svg"]).iter()]
    assert any(text.startswith(f"{SCRIPT} $x^2$ & 50%") for text in texts)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,100}", picture.name)


def test_hostile_text_is_text_in_markdown_and_latex(nasty: ReportDocument) -> None:
    text = render(nasty, "md")
    assert "<script" not in text
    assert re.search(r"(?<!\\)\$", text) is None
    header, rule, row = re.findall(r"^\|.*\|$", text, flags=re.MULTILINE)[:3]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in (header, rule, row)}) == 1
    text = render(nasty, "latex").replace(DEFINITION, "")
    assert re.search(r"(?<!\\)[$#_%]", re.sub(r"(?m)^%", "", text.split("\n", 1)[1])) is None
    assert r"\textbackslash{}cmd\{\textasciitilde{}\}" in text


def test_hostile_text_survives_csv_and_json(nasty: ReportDocument) -> None:
    row, *_, left_out = csv.DictReader(io.StringIO(render(nasty, "csv")))
    assert row["algorithm"] == plain(NASTY)
    assert left_out["absent"].startswith("a--b--c/seed-7.json: damaged: ")
    assert ReportDocument.model_validate_json(render(nasty, "json")) == nasty


def test_plain() -> None:
    assert plain("a\n b\t\tc ") == "a b c"
    assert plain("\x1b[31mred\x00\ud800\u202e\ufffe") == r"\x1b[31mred\x00\ud800\u202e\ufffe"
    assert plain("\x9b2J \u200bgr\u200dpo\U000e0041") == r"\x9b2J \u200bgr\u200dpo\U000e0041"
    assert plain("日本 é 👩\u200d🔬") == "日本 é 👩\u200d🔬"
    assert plain_lines("a:\n\tb\x07") == "a:\n    b\\x07"


def test_escapes() -> None:
    assert markdown("a|b_<c>&$") == r"a\|b\_&lt;c&gt;&amp;\$"
    assert latex("50% a_b --x \\ ~") == r"50\% a\_b -{}-x \textbackslash{} \textasciitilde{}"
    assert [csv_text(text) for text in ("=1+1", "@x", "-x", "plain", "")] == ["'=1+1", "'@x", "'-x", "plain", ""]
    assert shorten("abcdefghij", 7) == "abcd…ij"
    assert shorten("abc", 3) == "abc"


def test_markdown_tables() -> None:
    table = markdown_table(["", "a", "b"], [["`x`", markdown("1|2"), "3"], ["y", "", "4"]], right=(1, 2))
    assert table == "|  | a | b |\n| --- | ---: | ---: |\n| `x` | 1\\|2 | 3 |\n| y |  | 4 |"
    assert markdown_table(["a"], []) == "| a |\n| --- |"
    assert markdown_list(["a*", "b"]) == "- a\\*\n- b"


def test_file_names_differ_and_are_safe() -> None:
    names = file_names(["a/b", "a_b", "A_B", "..", "", "overview", "ü" * 300, "x" * 300])
    assert len({name.lower() for name in names}) == 8
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,90}", name) and name.strip(".") for name in names)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0.005, 2, "0.01"), (-0.001, 2, "0.00"), (-0.4, 0, "0"), (12345.678, 1, "12,345.7"), (1e300, 1, "1e+300")],
)
def test_fixed(value: float, decimals: int, text: str) -> None:
    assert fixed(value, decimals) == text


def test_return_decimals_follow_the_largest(document: ReportDocument) -> None:
    for task, decimals in {"gym/CartPole-v1": 1, "gym/Pendulum-v1": 1, "random-walk/20": 3}.items():
        results = next(each for each in document.suites[0].tasks if each.task == task).algorithms
        assert return_decimals([result.final_return for result in results]) == decimals
