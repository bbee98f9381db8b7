"""The ops of the namespace fft, a module per family."""
