"""Did a change move the learning curves: baseline files, and verdicts against them."""
