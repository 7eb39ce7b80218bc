"""The content policy: which prompts the service refuses."""
