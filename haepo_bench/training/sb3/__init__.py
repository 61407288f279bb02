"""Stable-Baselines3's PPO as an algorithm."""
