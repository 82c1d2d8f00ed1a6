"""Compiled code, and nothing else: arrays in, arrays filled, no checks, no I/O.

`launch.py` holds the compiler flags and the one lock under which kernels run, `warp.py` the
geometry, `pointwise.py` what happens to each value, `batch.py` the kernel that does a whole batch.
"""
