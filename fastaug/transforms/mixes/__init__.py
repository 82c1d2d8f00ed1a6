"""Transforms that need other images of the batch."""
