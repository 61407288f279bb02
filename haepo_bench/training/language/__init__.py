"""Training causal language models with the same objectives as small policies."""
