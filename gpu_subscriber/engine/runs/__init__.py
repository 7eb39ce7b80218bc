"""Runs: images being denoised, with their state, history, previews and reports."""
