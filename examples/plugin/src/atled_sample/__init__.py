"""A sample extension of atled: ``at.ops.sample.soft_clip``."""

from pathlib import Path

# The entry point of the group atled.ops names this; atled opens the library at the first at.ops.sample.<op>.
LIBRARY = next(Path(__file__).parent.glob("_ops.*"))
# Likewise at the first such call on device "cuda"; not there where it was built without nvcc, which atled then says.
CUDA_LIBRARY = Path(__file__).with_name("libatled_sample_cuda.so")
