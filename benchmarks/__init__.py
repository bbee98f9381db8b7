"""Speed and size of atled beside NumPy and PyTorch, on the same machine in the same run."""
