"""Statistics of a data set: of arrays, of folders, in files."""
