"""Thin Typer commands: parse, call, print."""
