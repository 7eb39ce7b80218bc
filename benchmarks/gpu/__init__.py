"""The benchmark of one GPU, with architectures at full size and random weights.

python -m benchmarks gpu                the measurement, in 8 minutes
python -m benchmarks gpu --pack DIR     a folder that runs it on a machine with only Python and torch
"""
