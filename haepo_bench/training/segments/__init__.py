"""Training on segments of a fixed number of steps."""
