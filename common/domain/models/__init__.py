"""The model catalog and what models accept. Pure."""
