"""Finite tasks as tables, from which references follow exactly."""
