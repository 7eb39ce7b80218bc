"""The front: HTTP in, task out. Accepts requests, answers at once, and never draws anything itself."""
