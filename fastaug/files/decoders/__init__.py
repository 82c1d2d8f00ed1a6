"""The pool of decode processes.  The processes import neither Numba nor Keras."""
