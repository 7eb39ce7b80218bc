"""Google Cloud adapters that both processes use."""
