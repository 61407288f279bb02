"""haepo-bench: a benchmarking suite for policy-optimisation algorithms."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("haepo-bench")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0.0.0+uninstalled"
