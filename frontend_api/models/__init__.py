"""The offered models."""
