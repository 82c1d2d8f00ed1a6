"""Half of the house: what a batch is made of, from source pixels to what the model gets."""
