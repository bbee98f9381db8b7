"""The ops of the namespace linalg, a module per family."""
