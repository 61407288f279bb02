"""Development sessions: `nox -s tests`, `lint`, `types`, `quickstart`, `benchmark`.

Of the regression gate (docs/regression.md): `baseline`, `drills`, `calibration`.
"""

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "venv"


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite; arguments go to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and likely mistakes."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Static types of the package, strictly."""
    session.install("-e", ".[lint]")
    session.run("mypy")


@nox.session
def quickstart(session: nox.Session) -> None:
    """The quickstart suite from an installed package, and its report."""
    session.install(".")
    session.run("haepo-bench", "run", "suites/quickstart.yaml", *session.posargs)
    session.run("haepo-bench", "report")


@nox.session
def benchmark(session: nox.Session) -> None:
    """Throughput; arguments go to benchmarks/throughput.py."""
    session.install("-e", ".")
    session.run("python", "benchmarks/throughput.py", *session.posargs)


@nox.session
def baseline(session: nox.Session) -> None:
    """Records baselines/regression.json anew, from a clean tree: nox -s baseline -- "why it changes"."""
    session.install("-e", ".")
    session.run("haepo-bench", "run", "suites/regression.yaml", "--results", "results/baseline")
    reason = " ".join(session.posargs)
    record = ("baseline", "results/baseline/regression", "--out", "baselines/regression.json", "--reason", reason)
    session.run("haepo-bench", *record)


@nox.session
def drills(session: nox.Session) -> None:
    """Plants faults and gates each; arguments go to benchmarks/drills.py."""
    session.install("-e", ".")
    session.run("python", "benchmarks/drills.py", *session.posargs)


@nox.session
def calibration(session: nox.Session) -> None:
    """Measures the gate's false alarms and power; arguments go to benchmarks/calibration.py."""
    session.install("-e", ".")
    session.run("python", "benchmarks/calibration.py", *session.posargs)
