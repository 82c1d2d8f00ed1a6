"""The sub-commands of `fastaug`: one file each, with its options and what it prints."""
