"""Shares: links that show one picture and its prompt to any holder until they expire."""
