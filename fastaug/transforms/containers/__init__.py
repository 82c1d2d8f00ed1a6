"""Transforms that choose among others, for each image."""
