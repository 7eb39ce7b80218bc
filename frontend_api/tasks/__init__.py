"""Tasks: submit, read, list, cancel, retry and delete them."""
