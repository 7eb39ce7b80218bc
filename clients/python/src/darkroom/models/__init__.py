"""Objects that the API returns."""
