"""Pure loss functions over batches of trajectories, one file an algorithm family."""
