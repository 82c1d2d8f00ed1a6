"""Batches for Keras: which one answers which index, and how it is made."""
