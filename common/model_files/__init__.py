"""A model's files on this machine: which ones are loaded, and which are refused. Reads headers, never weights."""
