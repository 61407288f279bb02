"""Runs to and from other people's formats: tidy tables out, learning curves in."""
