"""What all routes share: requests, responses, problems and the concurrency limit."""
