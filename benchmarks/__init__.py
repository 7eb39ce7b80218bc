"""What docs/benchmarks.md reports. Every claim is a ratio or a median measured in one run; nothing here is a test."""
