"""Where the library with the fused kernels is; the entry point ``atled.ops: optim`` names it."""

from pathlib import Path

LIBRARY = next(iter(sorted(Path(__file__).parent.glob("_kernels.*"))), Path(__file__).parent / "_kernels.so")
#: Where the wheel was built for CUDA.
CUDA_LIBRARY = Path(__file__).with_name("libatled_optim_cuda.so")
