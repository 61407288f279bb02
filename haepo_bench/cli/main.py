"""The program `haepo-bench`: its commands, and what becomes of errors.

Typer runs with standalone_mode off, so that the exit codes are ours (errors.ExitCode) and not Typer's.
"""

import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
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
from haepo_bench.cli.fault import fault_of_the_machine, write_fault_report
from haepo_bench.cli.gate import gate
from haepo_bench.cli.import_ import import_
from haepo_bench.cli.init import init
from haepo_bench.cli.listing import list_catalogue
from haepo_bench.cli.merge import merge
from haepo_bench.cli.new import new
from haepo_bench.cli.references import references
from haepo_bench.cli.report import report
from haepo_bench.cli.run import run
from haepo_bench.cli.schema import schema
from haepo_bench.cli.test import try_out
from haepo_bench.cli.tune import tune
from haepo_bench.cli.validate import validate
from haepo_bench.cli.verify import verify
from haepo_bench.cli.view import view
from haepo_bench.errors import ExitCode, UserError
from haepo_bench.terminal import echo, prepare, settle, silence

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
app.command()(tune)
app.command()(merge)
app.command()(report)
app.command()(view)
app.command()(verify)
app.command()(compare)
app.command()(export)
app.command("import")(import_)
app.command()(baseline)
app.command()(check)
app.command()(gate)
app.command()(init)
app.command()(new)
app.command()(references)
app.command("test")(try_out)
app.command()(validate)
app.command("list")(list_catalogue)
app.command()(describe)
app.command()(clean)
app.command()(doctor)
app.command()(schema)


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"{PROGRAM} {haepo_bench.__version__}")
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
        echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def program(arguments: Sequence[str]) -> int:
    """Runs one command line (without the program's name) and returns its exit code; never raises."""
    debug = "--debug" in arguments
    try:
        prepare()
        _check_folder()
        code = app(args=[a for a in arguments if a != "--debug"], prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return int(code) if isinstance(code, int) else ExitCode.OK
    except BaseException as error:  # the top of the program: everything that arrives here becomes an exit code
        return _exit_code(error, debug)
    finally:
        settle()


def _check_folder() -> None:
    """Libraries that look at the current folder while they are loaded crash without one."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("the current folder does not exist any more", remedy="change to one that does") from None


def _exit_code(error: BaseException, debug: bool) -> int:
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        # Typer turns a broken pipe into exit code 1, ours for a regression. Nobody reads on: say nothing.
        silence()
        return BROKEN_PIPE
    if isinstance(error, SystemExit):  # shell completion ends so
        return error.code if isinstance(error.code, int) else ExitCode.OK
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    if debug:
        echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if not isinstance(error, UserError):
        error = fault_of_the_machine(error) or error
    if isinstance(error, UserError):
        echo(f"error: {error}", err=True)
        return error.exit_code
    if hasattr(error, "format_message"):  # Typer's errors of usage; their class has no public name
        context = getattr(error, "ctx", None)
        echo(f"error: {error.format_message()}", err=True)
        echo(f"  {context.command_path if context else PROGRAM} --help says what it takes", err=True)
        return ExitCode.USAGE
    summary = " ".join(f"{type(error).__name__}: {error}".split())
    echo(f"error: this is a fault of haepo-bench, not of what you asked for: {summary[:500]}", err=True)
    echo(f"  {write_fault_report(error)}", err=True)
    return ExitCode.INTERNAL_ERROR
