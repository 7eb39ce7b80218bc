"""Changes of a task: server-sent events, WebSockets and long polling."""
