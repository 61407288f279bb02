"""The program, as the console script and as `python -m haepo_bench`.

Imports nothing that takes time: the first thing to be done is to listen to signals.
"""

import sys

from haepo_bench import interruption


def main() -> None:
    """Runs one command line and ends with its exit code."""
    interruption.catch()
    from haepo_bench.cli.quiet import quiet_libraries

    quiet_libraries()
    from haepo_bench.cli.main import program

    code = program(sys.argv[1:])
    interruption.ignore()
    sys.exit(code)


if __name__ == "__main__":
    main()
