"""Quotas: limits per caller and of the whole queue."""
