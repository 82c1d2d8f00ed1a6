"""Decoded images that are kept, in memory or on disk."""
