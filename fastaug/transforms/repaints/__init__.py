"""Transforms that need neighbours, noise or rectangles: a pass of their own."""
