"""Writes the PyTorch files beside it, which test_torch_files.py reads: run it with PyTorch 2.13 installed.

The values follow formulas that the test repeats in NumPy.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent
DTYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)


def values(name: str) -> torch.Tensor:
    """0 to 5, as a matrix; complex ones have an imaginary part."""
    real = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    return (real + 1j * (real + 1) if name.startswith("complex") else real).to(getattr(torch, name))


def tensors() -> dict[str, object]:
    """Every dtype, and tensors of odd shapes and strides."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "dtypes": {name: values(name) for name in DTYPES},
        "views": {
            "base": base,
            "row": base[2],
            "transposed": base.T,
            "strided": base[1::2, ::3],
            "expanded": base[0, :1].expand(5),
        },
        "scalar": torch.tensor(7, dtype=torch.int64),
        "empty": torch.empty(0, 3),
        "channels_last": torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
        "conj": values("complex64").conj(),
        "imag": values("complex64").imag,
        "neg": values("complex64").conj().imag,
        "parameter": nn.Parameter(torch.full((2,), 0.5)),
    }


def training() -> dict[str, object]:
    """What a training script saves."""
    model = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2), tied=nn.Linear(2, 2)))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.arange(p.numel(), dtype=torch.float32).reshape(p.shape) / 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.5, 0.75), weight_decay=0.0)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "plain": [1, -(2**40), 2**80, 0.1, 1j, "é", b"\x00\xff", None, True, (1, (2,)), {3, 4}, bytearray(b"ab")],
        "names": {"dtype": torch.bfloat16, "size": torch.Size([2, 3]), "device": torch.device("cuda", 1)},
        "keys": {1: "int", (1, "a"): "tuple", None: "none"},
    }


if __name__ == "__main__":
    torch.save(tensors(), HERE / "tensors.pt")
    torch.save(training(), HERE / "training.pth")
    torch.save(tensors()["views"], HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(nn.Linear(1, 1), HERE / "module.pt")
    torch.jit.script(nn.ReLU()).save(HERE / "program.pt")
