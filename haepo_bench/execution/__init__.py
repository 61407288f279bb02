"""From a plan to stored runs: scheduler, workers, progress."""
