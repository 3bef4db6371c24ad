"""Executors for ``build_portfolio`` whose workers are other machines: Ray and SLURM.

Importing this package loads neither ray nor submitit; only its modules ``ray`` and ``slurm`` need them, when used.
"""
