"""`fastaug bench`: the study of 2017, run again on the user's machine, with fastaug beside it."""
