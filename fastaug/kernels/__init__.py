"""Compiled code, and nothing else: arrays in, arrays filled, no checks, no I/O.

`launch.py` holds the compiler flags, the threads and the one lock under which kernels run;
`matrices.py` composes the geometry.  A warp goes by `warp.py`, one number after another, or by
`sampling.py`, with the vector registers of `lanes.py`.  `storing.py` knows layouts and dtypes,
`pointwise.py` what happens to each value, `batch.py` has the kernels that do a whole batch.
"""
