"""API keys: credentials for programs."""
