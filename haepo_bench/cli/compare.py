"""`haepo-bench compare`."""


def compare() -> None:
    """Later."""
