"""What the tests of sharded modules train, on one process or on many."""

import numpy as np

import atled.core as at
from atled import distributed as dist
from atled import nn, optim
from atled.autograd.checkpoint import checkpoint

WORDS, WIDTH, ROWS, LENGTH = 13, 6, 12, 5


class Block(nn.Module):
    """A transformer block, of sizes that no number of ranks divides."""

    def __init__(self, inner_checkpoint):
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.mixing = nn.Sequential(nn.Linear(WIDTH, 11), nn.GELU(), nn.Linear(11, WIDTH))
        self.inner_checkpoint = inner_checkpoint

    def forward(self, x):
        y = self.first(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = self.second(x)
        return x + (checkpoint(self.mixing, y) if self.inner_checkpoint else self.mixing(y))


class Model(nn.Module):
    """Blocks between an embedding and a head that share their weight, and a parameter without dimensions."""

    def __init__(self, seed=0, checkpoints=False, again=1):
        super().__init__()
        at.manual_seed(seed)
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.blocks = nn.ModuleList([Block(checkpoints and i == 1) for i in range(3)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, WORDS)
        self.head.weight = self.embedding.weight
        self.scale = nn.Parameter(at.tensor(0.5))
        # Of no use in any forward; nothing may become of it.
        self.spare = nn.Parameter(at.ones(3, 2))
        self.blocks[1].mixing[0].weight.requires_grad_(False)
        self.blocks[1].attention.requires_grad_(False)
        self.checkpoints, self.again = checkpoints, again
        self.double()

    def forward(self, words):
        x = self.embedding(words)
        for _ in range(self.again):
            for i, block in enumerate(self.blocks):
                x = checkpoint(block, x) if self.checkpoints and i != 1 else block(x)
        return self.head(self.norm(x)) * self.scale


def shard(model, grouped=False, **settings):
    """Each block, and then the model; before, some of what is in the blocks together."""
    if grouped:
        dist.fully_shard([model.blocks[0].first, model.blocks[0].mixing], **settings)
        dist.fully_shard([model.blocks[1].second, model.blocks[1].mixing], **settings)
        dist.fully_shard([*model.blocks[2].children()], **settings)
    for block in model.blocks:
        dist.fully_shard(block, **settings)
    return dist.fully_shard(model, **settings)


def loss_of(model, step, rows):
    words = np.random.default_rng([5, step]).integers(0, WORDS, (ROWS, LENGTH + 1))[rows]
    inputs, targets = at.from_numpy(words[:, :-1].copy()), at.from_numpy(words[:, 1:].copy())
    return nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def train(model, optimizer, rows, steps, clip=None, parts=1):
    """Some steps, each of some batches whose gradients add up; answers the norms before clipping."""
    norms = []
    for step in range(steps):
        for part in range(parts):
            if hasattr(model, "set_requires_gradient_sync"):
                model.set_requires_gradient_sync(part == parts - 1)
            loss_of(model, step * parts + part, rows).backward()
        if clip is not None:
            norms.append(clip(model.parameters(), 0.3).item())
        optimizer.step()
        optimizer.zero_grad()
    return norms


def own_rows():
    each = ROWS // dist.get_world_size()
    return slice(dist.get_rank() * each, (dist.get_rank() + 1) * each)


def arrays(tensors):
    return {name: np.array(tensor.detach().numpy()) for name, tensor in tensors}


def adamw(params):
    # The keys' bias has gradients of nothing but rounding errors, which a small eps would make much of.
    return optim.AdamW(params, lr=0.01, eps=1e-5, weight_decay=0.1)


def momentum(params):
    return optim.SGD(params, lr=0.1, momentum=0.9)
