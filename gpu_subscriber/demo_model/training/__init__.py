"""The stages that make the weights, in order: tokenizer, encoder, text encoder, U-Net, decoder, export."""
