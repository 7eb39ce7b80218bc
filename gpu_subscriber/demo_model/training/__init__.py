"""The stages that make the weights, in order: tokenizer, autoencoder, text encoder, U-Net, polishing, export."""
