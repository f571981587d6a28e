"""`python -m tests.benchmarks [--only NAME]`: each hot loop against its baseline, in one run on one machine.

To add a benchmark: a file here with a function that prepares a `Benchmark`, and a line in `registry.py`.
"""
