"""OpenAI's image API over the use cases of the tasks: same tasks, other names and shapes."""
