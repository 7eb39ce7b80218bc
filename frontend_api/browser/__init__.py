"""The built pages, and the protection of browsers: security headers and the origin check."""
