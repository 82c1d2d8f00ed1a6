"""Looking at a training run: the machine, the input, and what limits it."""
