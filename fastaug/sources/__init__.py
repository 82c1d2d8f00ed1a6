"""Rows -> pixels: where files meet arrays."""
