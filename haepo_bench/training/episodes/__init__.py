"""Training on whole episodes."""
