"""Many tasks in one request: submit, cancel, delete and label them."""
