# /// script
# requires-python = ">=3.11"
# dependencies = ["atled", "atled-distributed", "matplotlib>=3.8", "scikit-learn>=1.4", "tqdm>=4.66"]
# ///
"""Trains a small convolutional network on the handwritten digits that scikit-learn ships, with every part of atled.

    python examples/train_digits.py                 one process
    python examples/train_digits.py --ranks 2       data-parallel on two processes, with the same global batch
    python examples/train_digits.py --device cuda   on a GPU, with the same numbers as on the CPU but for rounding

Shows a progress bar and a table of the model, and writes into --out: the curves (curves.png), a checkpoint
(digits.safetensors) that is loaded into a fresh model and must give the same predictions, and history.json.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import atled.core as at
from atled import data, nn, optim
from atled import distributed as dist

matplotlib.use("Agg")

WANTED = 0.98  # accuracy on the images that training never saw


class Digits(data.Dataset):
    """Scans of 8 x 8 pixels in [0, 1] with their digit; in training each is moved by up to one pixel."""

    def __init__(self, train: bool) -> None:
        scans = load_digits()
        parts = train_test_split(
            scans.images / 16.0, scans.target, test_size=0.2, random_state=0, stratify=scans.target
        )
        self.images = parts[0 if train else 1].astype(np.float32)
        self.labels = parts[2 if train else 3]
        self.train = train

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[at.Tensor, int]:
        image = self.images[index]
        if self.train:
            # The loader seeds by (seed, epoch, index), so the same move comes out whichever worker loads the sample.
            down, right = np.random.default_rng(data.sample_seed()).integers(0, 3, 2)
            image = np.pad(image, 1)[down : down + 8, right : right + 8]
        return at.tensor(image[None]), int(self.labels[index])


def network() -> nn.Sequential:
    """Three convolutions and a linear classifier: (n, 1, 8, 8) to (n, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 2 * 2, 10),
    )


def predict(model: nn.Module, dataset: Digits) -> at.Tensor:
    """The most likely digit of every image, in order."""
    model.eval()
    device = next(iter(model.parameters())).device
    batches = data.DataLoader(dataset, batch_size=256)
    found = at.cat([model(images.to(device)).argmax(1) for images, _ in batches])
    model.train()
    return found.to("cpu")


def accuracy(model: nn.Module, dataset: Digits) -> float:
    """The share of images whose digit is found."""
    return (predict(model, dataset) == at.tensor(dataset.labels)).float().mean().item()


def train(rank: int, options: argparse.Namespace) -> list[dict[str, float]]:
    """Trains on this rank's share of every batch; returns the history, which is the same on all ranks."""
    ranks = options.ranks
    if ranks > 1:
        dist.init_process_group()
    at.manual_seed(options.seed)
    model = network().to(options.device)
    parallel = dist.DistributedDataParallel(model) if ranks > 1 else model
    training, test = Digits(train=True), Digits(train=False)
    sampler = data.DistributedSampler(training, ranks, rank, seed=options.seed, drop_last=True)
    loader = data.DataLoader(
        training,
        options.batch // ranks,
        sampler=sampler,
        num_workers=options.workers,
        drop_last=True,
        persistent_workers=options.workers > 0,
        seed=options.seed,
    )
    loss_of = nn.CrossEntropyLoss()
    # An eps well above rounding, so that the order in which ranks add up gradients does not show in the loss.
    optimizer = optim.AdamW(model.parameters(), lr=options.lr, eps=1e-6, weight_decay=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, options.lr, epochs=options.epochs, steps_per_epoch=len(loader), cycle_momentum=False
    )
    if rank == 0:
        print(nn.summary(model, at.zeros(1, 1, 8, 8, device=options.device)))
    history = []
    batches = len(loader) if options.steps is None else min(options.steps, len(loader))
    with tqdm(total=options.epochs * batches, unit="batch", disable=rank != 0) as progress:
        for epoch in range(1, options.epochs + 1):
            total = at.zeros((), device=options.device)
            for images, labels in itertools.islice(loader, batches):
                optimizer.zero_grad()
                loss = loss_of(parallel(images.to(options.device)), labels.to(options.device))
                loss.backward()
                optim.clip_grad_norm_(model.parameters(), 5.0)
                optimizer.step()
                schedule.step()
                total += loss.detach()
                progress.update()
            if ranks > 1:
                dist.all_reduce(total, dist.ReduceOp.AVG)
            history.append({"epoch": epoch, "loss": total.item() / batches, "accuracy": accuracy(model, test)})
            progress.set_postfix(loss=f"{history[-1]['loss']:.4f}", accuracy=f"{history[-1]['accuracy']:.2%}")
    if rank == 0:
        keep(model, optimizer, history, test, options)
    if ranks > 1:
        dist.destroy_process_group()
    return history


def keep(
    model: nn.Module,
    optimizer: optim.Optimizer,
    history: list[dict[str, float]],
    test: Digits,
    options: argparse.Namespace,
) -> None:
    """Writes the checkpoint, the curves and the history, and reads the checkpoint back."""
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "digits.safetensors"
    at.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": len(history)}, path)
    fresh = network().to(options.device)
    fresh.load_state_dict(at.load(path)["model"])
    if not at.equal(predict(fresh, test), predict(model, test)):
        raise RuntimeError(f"{path}: the model that was loaded gives other predictions than the one that was saved")
    draw(history, options.out / "curves.png")
    (options.out / "history.json").write_text(json.dumps(history, indent=1))
    print(f"checkpoint {path}: loaded into a fresh model, {len(test)} predictions are the same")


def draw(history: list[dict[str, float]], path: Path) -> None:
    """Loss and accuracy over the epochs."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    epochs = [row["epoch"] for row in history]
    left.semilogy(epochs, [row["loss"] for row in history], color="tab:blue")
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(epochs, [100 * row["accuracy"] for row in history], color="tab:orange")
    right.axhline(100 * WANTED, color="gray", linestyle=":")
    right.set(xlabel="epoch", ylabel="test accuracy, %")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> int:
    """Command line; answers 1 when the accuracy is too low."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=1, help="processes that train together")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=64, help="images per step, over all ranks")
    parser.add_argument("--lr", type=float, default=4e-3, help="the schedule's highest learning rate")
    parser.add_argument("--device", default="cpu", help="where the network is and learns")
    parser.add_argument("--steps", type=int, help="batches of each epoch, to look whether it runs; all unless given")
    parser.add_argument("--workers", type=int, default=2, help="loader processes of each rank")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/digits"), help="folder for what is written")
    options = parser.parse_args()
    if options.ranks < 1 or options.batch % options.ranks:
        parser.error(f"expected --batch to be a multiple of --ranks, got {options.batch} and {options.ranks}")
    start = time.perf_counter()
    history = train(0, options) if options.ranks == 1 else dist.spawn(train, (options,), nprocs=options.ranks)[0]
    reached = history[-1]["accuracy"]
    print(f"test accuracy {reached:.2%}, training loss {history[-1]['loss']:.6f}, {time.perf_counter() - start:.1f} s")
    if reached < WANTED and options.steps is None:
        print(f"expected a test accuracy of at least {WANTED:.0%}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
