"""The specifications of nn's ops, a module for each family."""
