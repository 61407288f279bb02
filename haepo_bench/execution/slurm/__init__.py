"""A suite as an array of Slurm jobs: cut into chunks, submitted, watched, collected."""
