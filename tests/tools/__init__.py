"""Scripts beside the tests, and makers of data for tests and benchmarks."""
