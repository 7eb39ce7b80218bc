"""Records that the API returns."""
