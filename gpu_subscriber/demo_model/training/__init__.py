"""The training stages, in order: tokenizer, encoder, text encoder, U-Net, decoder, export."""
