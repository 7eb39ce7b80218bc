"""The document that marks a run of the emulator as restored. No export covers its project."""

MARKER_DATABASE = "projects/demo-restored-marker/databases/(default)"
MARKER = f"{MARKER_DATABASE}/documents/restored/marker"
