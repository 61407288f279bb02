"""Curves of runs in other people's tools, as they happen: one file per tool, each loaded only where it is asked for."""
