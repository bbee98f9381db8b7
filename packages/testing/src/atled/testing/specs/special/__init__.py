"""The ops of the namespace special, a module per family."""
