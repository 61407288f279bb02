"""Development sessions: `nox -s tests`, `latex`, `sanitizers`, `lint`, `types`, `docs`, `figures`, `quickstart`,
`benchmark`.

Of the dependencies: `lock`, `newest`, `oldest`. Of the regression gate (docs/how-to/regression.md): `baseline`,
`drills`, `calibration`. Every session but `newest` and `oldest` installs the versions of the committed lock.
"""

import shutil
from pathlib import Path

import nox

LOCK = "constraints.txt"
LOCK_HEAD = """\
# The versions that this commit was tested with: one lock for Linux and macOS, Python 3.11 and newer, all extras.
# Install with it: pip install -c constraints.txt '.[test]'. Made by: nox -s lock.
"""

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "venv"


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite; arguments go to pytest."""
    session.install("-c", LOCK, "-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def latex(session: nox.Session) -> None:
    """The tables for LaTeX, compiled; needs pdflatex (Debian: texlive-latex-recommended)."""
    if shutil.which("pdflatex") is None:
        session.error("pdflatex is not installed (Debian: texlive-latex-recommended)")
    session.install("-c", LOCK, "-e", ".[test]")
    session.run("pytest", "tests/report/test_latex.py", *session.posargs)


@nox.session
def sanitizers(session: nox.Session) -> None:
    """The engine's tests on kernels that watch their memory and arithmetic; needs g++ with its sanitizers."""
    session.install("-c", LOCK, "-e", ".[test]")
    session.run("python", "-m", "haepo_bench.engine.build", "--sanitize")
    library = session.run("g++", "-print-file-name=libasan.so", external=True, silent=True)
    # Python itself takes memory that it never gives back.
    watched = {"LD_PRELOAD": str(library).strip(), "ASAN_OPTIONS": "detect_leaks=0"}
    try:
        session.run("pytest", "tests/engine", "-p", "no:cacheprovider", *session.posargs, env=watched)
    finally:
        session.run("python", "-m", "haepo_bench.engine.build")


@nox.session
def lock(session: nox.Session) -> None:
    """Resolves constraints.txt anew, to the newest versions allowed; run the tests before you commit it."""
    session.install("uv")
    _compile(session, Path(LOCK), "--universal", "--all-extras", "--upgrade", "pyproject.toml")
    resolved = Path(LOCK).read_text(encoding="utf-8")
    Path(LOCK).write_text(LOCK_HEAD + resolved, encoding="utf-8")


@nox.session
def newest(session: nox.Session) -> None:
    """The test suite with the newest versions that pyproject.toml allows; arguments go to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def oldest(session: nox.Session) -> None:
    """The test suite with the lowest versions that pyproject.toml names; arguments go to pytest.

    PyTorch stays at the lock's version, since older builds bring gigabytes of CUDA packages on Linux; `-- --torch`
    takes its lowest version too.
    """
    arguments = [argument for argument in session.posargs if argument != "--torch"]
    temporary = Path(session.create_tmp())
    held, lowest = temporary / "torch.txt", temporary / "lowest.txt"
    pins = Path(LOCK).read_text(encoding="utf-8").splitlines()
    held.write_text("\n".join(pin for pin in pins if pin.startswith("torch==") and "--torch" not in session.posargs))
    if "--torch" not in session.posargs:
        session.log("PyTorch is held at the lock's version; its lowest version is not run without -- --torch")
    session.install("uv")
    what = ("--resolution", "lowest-direct", "--extra", "test", "--constraints", str(held), "pyproject.toml")
    _compile(session, lowest, *what)
    session.install("-c", str(lowest), "-e", ".[test]")
    session.run("pytest", *arguments)


def _compile(session: nox.Session, output: Path, *arguments: str) -> None:
    """Resolves requirements into `output`."""
    quiet = ("--quiet", "--no-annotate", "--no-header", "--python-version", "3.11")
    session.run("uv", "pip", "compile", *quiet, "--output-file", str(output), *arguments)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and likely mistakes."""
    session.install("-c", LOCK, "-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Static types of the package, strictly."""
    session.install("-c", LOCK, "-e", ".[lint]")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site in build/docs, where every warning is an error; arguments go to sphinx-build."""
    session.install("-c", LOCK, "-e", ".[docs]")
    strict = ("-q", "-E", "-n", "-W", "--keep-going")
    session.run("sphinx-build", *strict, "-b", "html", *session.posargs, "docs", "build/docs")


@nox.session
def figures(session: nox.Session) -> None:
    """Makes the documentation's figures again, those named or all: nox -s figures -- credit.png."""
    session.install("-c", LOCK, "-e", ".[lm,test]")
    session.run("python", "tools/figures.py", *session.posargs)


@nox.session
def quickstart(session: nox.Session) -> None:
    """The quickstart suite from an installed package, and its report."""
    session.install("-c", LOCK, ".")
    session.run("haepo-bench", "run", "suites/quickstart.yaml", *session.posargs)
    session.run("haepo-bench", "report")


@nox.session
def benchmark(session: nox.Session) -> None:
    """Throughput; arguments go to benchmarks/throughput.py."""
    session.install("-c", LOCK, "-e", ".")
    session.run("python", "benchmarks/throughput.py", *session.posargs)


@nox.session
def baseline(session: nox.Session) -> None:
    """Records baselines/regression.json anew, from a clean tree: nox -s baseline -- "why it changes"."""
    session.install("-c", LOCK, "-e", ".")
    # On torch, which every machine that gates has.
    session.run("haepo-bench", "run", "suites/regression.yaml", "--engine", "torch", "--results", "results/baseline")
    reason = " ".join(session.posargs)
    record = ("baseline", "results/baseline/regression", "--out", "baselines/regression.json", "--reason", reason)
    session.run("haepo-bench", *record)


@nox.session
def drills(session: nox.Session) -> None:
    """Plants faults and gates each; arguments go to trials/drills.py."""
    session.install("-c", LOCK, "-e", ".")
    session.run("python", "trials/drills.py", *session.posargs)


@nox.session
def calibration(session: nox.Session) -> None:
    """Measures the gate's false alarms and power; arguments go to trials/calibration.py."""
    session.install("-c", LOCK, "-e", ".")
    session.run("python", "trials/calibration.py", *session.posargs)
