"""The content policy for images: which images no task receives."""
