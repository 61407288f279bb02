"""Pure loss functions over batches of trajectories, one file per algorithm family."""
