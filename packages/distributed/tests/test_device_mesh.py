"""Meshes name ranks by dimensions, and have a group along each."""

import importlib.util

import numpy as np
import pytest

import atled.core as at
from atled import distributed as dist
from atled.distributed.device_mesh import DeviceMesh, init_device_mesh


def sharded_over(mesh, x):
    """A module in two copies of two shards: the shape of a shard, its gradients, and their norm over all."""
    from atled import nn

    layer = dist.fully_shard(nn.Linear(4, 3, bias=False), mesh=mesh)
    layer(at.full((1, 4), x)).sum().backward()
    grad = layer.weight.grad
    norm = dist.clip_grad_norm_(layer.parameters(), 100.0).item()
    return tuple(layer.weight.shape), set(grad.reshape(-1).tolist()), round(norm**2 / 9, 5)


def grid(rank):
    dist.init_process_group(timeout=60)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    sums = []
    for name in ("dp", "tp"):
        total = at.tensor([float(rank)])
        dist.all_reduce(total, group=mesh.get_group(name))
        sums.append(total.item())
    rows = mesh["dp"]
    assert rows.get_group() is mesh.get_group(0) and rows == mesh["dp",] and rows.mesh_dim_names == ("dp",)
    assert mesh["dp", "tp"] == mesh and (mesh.ndim, mesh.shape, mesh.size(), mesh.size("tp")) == (2, (2, 2), 4, 2)
    part = DeviceMesh("cpu", [2, 0])
    where = part.get_coordinate()
    if rank in (0, 2):
        assert part.get_group().ranks == (2, 0) and part.get_local_rank() == (0 if rank == 2 else 1)
    else:
        with pytest.raises(dist.DistError, match=rf"rank {rank} is not in the mesh \[2, 0\]"):
            part.get_group()
    with pytest.raises(ValueError, match=r"expected one of the names \('dp', 'tp'\), got 'pp'"):
        mesh["pp"]
    with pytest.raises(ValueError, match=r"in this order, got \('tp', 'dp'\)"):
        mesh["tp", "dp"]
    with pytest.raises(ValueError, match="mesh_dim, for the mesh has 2 dimensions"):
        mesh.get_group()
    with pytest.raises(ValueError, match="at most 4 ranks"):
        init_device_mesh("cpu", (3, 2))
    with pytest.raises(ValueError, match=r"distinct ranks of the job, from 0 to 3, got \[0, 0\]"):
        DeviceMesh("cpu", [0, 0])
    with pytest.raises(ValueError, match="2 different names"):
        init_device_mesh("cpu", (2, 2), mesh_dim_names=("a", "a"))
    again = DeviceMesh.from_group(mesh.get_group("tp"), "cpu")
    assert DeviceMesh.from_group(mesh.get_all_groups(), "cpu", mesh.mesh, mesh_dim_names=("dp", "tp")) == mesh
    with pytest.raises(ValueError, match=r"dimension 0 to have this rank's line of the mesh, \["):
        DeviceMesh.from_group(mesh.get_all_groups()[::-1], "cpu", mesh.mesh)
    if importlib.util.find_spec("atled.nn") and importlib.util.find_spec("atled.autograd"):
        assert sharded_over(mesh, float(rank)) == ((2 - mesh.get_local_rank("tp"), 4), {1.5}, 3.0)
    return sums, rows.mesh.tolist(), mesh.get_coordinate(), mesh.get_local_rank("tp"), where, again.mesh.tolist()


def test_a_grid_of_four_ranks():
    ranks = np.arange(4).reshape(2, 2)
    for rank, found in enumerate(dist.spawn(grid, nprocs=4)):
        i, j = divmod(rank, 2)
        sums = [float(ranks[:, j].sum()), float(ranks[i].sum())]
        where = {2: (0,), 0: (1,)}.get(rank)
        assert found == (sums, ranks[:, j].tolist(), (i, j), j, where, ranks[i].tolist())
