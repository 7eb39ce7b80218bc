"""The document that says that this run of the emulator has had the journal. No export covers its project."""

MARKER_DATABASE = "projects/demo-restored-marker/databases/(default)"
MARKER = f"{MARKER_DATABASE}/documents/restored/marker"
