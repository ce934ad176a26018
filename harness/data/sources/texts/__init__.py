"""Collections of texts and pictures to train and evaluate embeddings on, by name: built, unpacked or downloaded."""
