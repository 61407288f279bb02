"""Sphinx: the documentation site, from the Markdown of this folder and the docstrings of haepo_bench.api.

Build it with `nox -s docs`. Sphinx with MyST rather than a generator of Markdown sites: its API pages come from the
docstrings, every broken reference is an error, and it is maintained. The built pages load nothing from other hosts.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError

from haepo_bench import __version__

project = "haepo-bench"
author = "The haepo-bench developers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
smartquotes_action = "qe"  # not of dashes: options begin with two
html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
exclude_patterns = ["_build"]

autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
# Types of other packages and of modules that may move have no page here.
nitpick_ignore_regex = [("py:.*", r"(?!haepo_bench\.api\.).*")]

#: Pages that are files at the root of the repository, where code hosts look for them.
PROJECT_PAGES = {
    "project/contributing": "CONTRIBUTING.md",
    "project/changelog": "CHANGELOG.md",
    "project/security": "SECURITY.md",
    "project/code-of-conduct": "CODE_OF_CONDUCT.md",
}
ROOT = Path(__file__).parent.parent


def read_project_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Puts the file at the root in place of the page that points to it, with links that lead on from here."""
    if page not in PROJECT_PAGES:
        return
    path = ROOT / PROJECT_PAGES[page]
    app.env.note_dependency(str(path))
    here = {file: f"{Path(other).name}.md" for other, file in PROJECT_PAGES.items()}

    def led_on(link: re.Match[str]) -> str:
        target, anchor = link[1], link[2] or ""
        if target in here:
            return f"]({here[target]}{anchor})"
        return f"](../{target.removeprefix('docs/') if target.startswith('docs/') else f'../{target}'}{anchor})"

    source[0] = re.sub(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)", led_on, path.read_text(encoding="utf-8"))


#: Docstrings of attributes as they are written; napoleon takes what is before a colon in them for a type.
_attributes: dict[str, list[str]] = {}


def prepare_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text, with code between single backticks or indented: says so in reStructuredText."""
    prepared: list[str] = []
    outer, code = "", False
    for line in lines:
        if code and (line.startswith("    ") or not line):
            prepared.append(line)
            continue
        # Sections such as `Args:` are indented too, but without a blank line before.
        code = line.startswith("    ") and not outer.startswith(" ") and prepared[-1:] == [""]
        if code:
            prepared += ["::", "", line]
            continue
        parts = re.split(r"(`[^`]+`)", line)
        parts[::2] = [part.replace("*", r"\*").replace("|", r"\|") for part in parts[::2]]
        parts[1::2] = [f"`{part}`" for part in parts[1::2]]
        prepared.append("".join(parts))
        outer = line or outer
    lines[:] = prepared
    if what in ("attribute", "data", "property"):
        _attributes[name] = list(lines)


def restore_attribute(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Undoes what napoleon did to the docstring of an attribute."""
    lines[:] = _attributes.pop(name, lines)


#: What a browser would fetch: scripts, images, styles and fonts. Links that a reader follows are not among them.
FETCHED = re.compile(
    r"""<(?:script|img|link|iframe)\b[^>]*?(?:src|href)="(?:https?:)?//|(?:url\(|@import )["']?(?:https?:)?//"""
)


def refuse_other_hosts(app: Sphinx, exception: Exception | None) -> None:
    """Fails a build whose pages would load anything from another host."""
    for path in sorted(Path(app.outdir).rglob("*")) if exception is None else ():
        if path.suffix in (".html", ".css") and (found := FETCHED.search(path.read_text(encoding="utf-8"))):
            raise SphinxError(f"{path} loads something from another host: {found[0]}")


def setup(app: Sphinx) -> None:
    """Called by Sphinx. Napoleon's own handler has the priority 500."""
    app.connect("source-read", read_project_page)
    app.connect("build-finished", refuse_other_hosts)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)
    app.connect("autodoc-process-docstring", restore_attribute, priority=600)
