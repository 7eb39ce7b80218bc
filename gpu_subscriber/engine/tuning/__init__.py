"""What the first load of a model measures and chooses: batch sizes, memory and memory formats."""
