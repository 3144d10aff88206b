"""Training: one loop for every objective, on recipes, optimisers, averages, checkpoints, processes and logs."""
