"""haepo-bench: a benchmarking suite for policy-optimisation algorithms."""

__version__: str


def __getattr__(name: str) -> str:
    """`__version__`, read when it is asked for: importing package metadata costs a fifth of `--help`."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("haepo-bench")
    except PackageNotFoundError:  # running from a source tree that was never installed
        return "0.0.0+uninstalled"
