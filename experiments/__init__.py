"""Entry points, configs, sweeps and benchmarks."""
