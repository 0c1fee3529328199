"""Ways of decoded pictures from decoders to an encoder."""
