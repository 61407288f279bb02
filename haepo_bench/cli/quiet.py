"""Other libraries' warnings stay off the terminal: runs keep them in their logs."""

import logging
import sys
import warnings


def quiet_libraries() -> None:
    """Hides warnings and log messages of other libraries, unless Python was asked to show warnings (-W)."""
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", module=r"(?!haepo_bench\b)")
    # Without any handler Python prints what a library logs.
    logging.getLogger().addHandler(logging.NullHandler())
