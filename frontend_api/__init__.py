"""HTTP API: accepts requests, creates tasks and answers immediately. It never generates images."""
