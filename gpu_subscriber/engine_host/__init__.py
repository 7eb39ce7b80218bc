"""The parent's side of the engine process: it starts, feeds and supervises it."""
