"""The OpenAPI document, the descriptions it is built from, and the page that shows it."""
