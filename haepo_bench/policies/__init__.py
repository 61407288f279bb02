"""Policies over a leading seed axis."""
