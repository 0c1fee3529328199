"""Input to tensors: texts to token ids, pictures to pixels."""
