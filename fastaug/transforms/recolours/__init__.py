"""Transforms that change colours: folded into the one pass over the values."""
