"""Transforms that move pixels: folded into the one warp."""
