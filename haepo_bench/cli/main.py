"""The program `haepo-bench`: its commands, and what becomes of errors.

Typer runs with standalone_mode off, so that the exit codes are ours (errors.ExitCode) and not Typer's.
"""

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

import haepo_bench
from haepo_bench.cli.baseline import baseline
from haepo_bench.cli.check import check
from haepo_bench.cli.clean import clean
from haepo_bench.cli.compare import compare
from haepo_bench.cli.describe import describe
from haepo_bench.cli.doctor import doctor
from haepo_bench.cli.export import export
from haepo_bench.cli.fault import write_fault_report
from haepo_bench.cli.gate import gate
from haepo_bench.cli.import_ import import_
from haepo_bench.cli.init import init
from haepo_bench.cli.listing import list_catalogue
from haepo_bench.cli.quiet import quiet_libraries
from haepo_bench.cli.report import report
from haepo_bench.cli.run import run
from haepo_bench.cli.schema import schema
from haepo_bench.cli.validate import validate
from haepo_bench.errors import ExitCode, UserError

PROGRAM = "haepo-bench"
#: What a shell reports for a program that writes to a pipe nobody reads any more.
BROKEN_PIPE = 128 + signal.SIGPIPE

app = typer.Typer(
    name=PROGRAM,
    help="Compares policy-optimisation algorithms: one YAML file in, a comparison you can trust out.",
    epilog="Start with: haepo-bench run quickstart",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(report)
app.command()(compare)
app.command()(export)
app.command("import")(import_)
app.command()(baseline)
app.command()(check)
app.command()(gate)
app.command()(init)
app.command()(validate)
app.command("list")(list_catalogue)
app.command()(describe)
app.command()(clean)
app.command()(doctor)
app.command()(schema)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {haepo_bench.__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    # Declared for the help: `program` takes it off the line, so that it works anywhere on it.
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; works anywhere on the line.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def program(arguments: Sequence[str]) -> int:
    """Runs one command line (without the program's name) and returns its exit code; never raises."""
    debug = "--debug" in arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(args=[a for a in arguments if a != "--debug"], prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return int(code) if isinstance(code, int) else ExitCode.OK
    except BaseException as error:  # the top of the program: everything that arrives here becomes an exit code
        return _exit_code(error, debug)


def main() -> None:
    """Entry point of the console script and of `python -m haepo_bench`."""
    quiet_libraries()
    sys.exit(program(sys.argv[1:]))


def _exit_code(error: BaseException, debug: bool) -> int:
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        # Typer turns a broken pipe into exit code 1, ours for a regression. Nobody reads on: say nothing, and keep
        # the interpreter from saying something when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    if isinstance(error, SystemExit):  # shell completion ends so
        return error.code if isinstance(error.code, int) else ExitCode.OK
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        _say("interrupted")
        return ExitCode.INTERRUPTED
    if debug:
        traceback.print_exception(error)
    if isinstance(error, UserError):
        _say(f"error: {error}")
        return error.exit_code
    if hasattr(error, "format_message"):  # Typer's errors of usage; their class has no public name
        context = getattr(error, "ctx", None)
        _say(f"error: {error.format_message()}")
        _say(f"  {context.command_path if context else PROGRAM} --help says what it takes")
        return ExitCode.USAGE
    summary = " ".join(f"{type(error).__name__}: {error}".split())
    _say(f"error: this is a fault of haepo-bench, not of what you asked for: {summary[:500]}")
    _say(f"  {write_fault_report(error)}")
    return ExitCode.INTERNAL_ERROR


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
