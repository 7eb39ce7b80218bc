"""What images are generated from besides a short prompt."""
