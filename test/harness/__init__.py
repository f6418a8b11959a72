"""What the demo, the integration and contract tests and the benchmarks are built from."""
