"""Pure functions on arrays: aggregates, intervals, curves, survival, comparisons, power.

docs/explanation/statistics.md says which answers what.
"""
