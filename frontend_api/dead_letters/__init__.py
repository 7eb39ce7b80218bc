"""Dead letters: messages that Pub/Sub or a worker abandoned."""
