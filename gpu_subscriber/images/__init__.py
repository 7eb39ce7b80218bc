"""Image files: encoding with the image's record inside, and storage."""
