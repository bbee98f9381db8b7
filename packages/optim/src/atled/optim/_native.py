"""Where the libraries with the fused kernels are; entry points name them."""

from pathlib import Path

LIBRARY = next(iter(sorted(Path(__file__).parent.glob("_kernels.*"))), Path(__file__).parent / "_kernels.so")
#: The kernels for CUDA, in wheels that were built with them; the entry point ``atled.kernels: cuda.optim`` names it.
CUDA_LIBRARY = Path(__file__).with_name("libatled_optim_cuda.so")
