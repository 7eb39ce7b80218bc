"""Predict what a fleet of workers costs and how long its callers wait, from measured step times.

python -m benchmarks fleet                      measure the demo model here, and predict
python -m benchmarks fleet --times gpu.json     predict with the results of `benchmarks gpu`
python -m benchmarks fleet --validate           compare predictions with the engine
"""
