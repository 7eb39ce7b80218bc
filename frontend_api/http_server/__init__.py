"""gunicorn's worker, extended so that unfinished requests occupy no thread."""
