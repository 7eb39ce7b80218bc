"""LoRAs: their files, and the slots in which the Runs of one batch apply different ones."""
