"""What the package is compared with, and what came out: `python -m benchmarks`."""
