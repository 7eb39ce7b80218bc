"""Download a model of the Hugging Face Hub: checked first, then copied to a folder or a bucket."""
