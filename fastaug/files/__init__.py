"""Half of the house: folders, data frames, decoding, caches.  Knows no kernels and no Keras."""
