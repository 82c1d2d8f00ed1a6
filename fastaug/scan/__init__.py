"""A report on the folders of a data set."""
