"""Checks for other people's algorithms and tasks: what the program relies on and cannot see for itself."""
