"""Ranks in a grid of named dimensions: who goes together along each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor

from ._errors import DistError
from ._group import ProcessGroup
from ._world import get_rank, get_world_size, group_or_default, init_process_group, is_initialized, new_group

__all__ = ["DeviceMesh", "init_device_mesh"]

_Ranks = npt.NDArray[np.int64]


class DeviceMesh:
    """A grid of ranks, with a process group along each dimension.

    ``mesh`` is a tensor, an array or nested lists of distinct ranks of the job, of at least one dimension;
    ``mesh_dim_names`` names the dimensions. Every rank of the job makes the same meshes in the same order, also those
    that it is not in. ``device_type`` is where the ranks compute, ``"cpu"`` or ``"cuda"``.

    ``mesh["dp"]`` and ``mesh["dp", "tp"]`` are the meshes of some dimensions that this rank is in; they share the
    groups and cost nothing.

    Raises InvalidValueError for ranks that are not in the job or come twice, and for names that do not fit,
    ArgumentError for what is no grid of integers, DeviceError for a type of device that there is not, DistError without
    a job.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> mesh = dist.DeviceMesh("cpu", [[0], [1]], mesh_dim_names=("dp", "tp"))
    >>> loss = at.tensor([dist.get_rank() + 1.0])
    >>> dist.all_reduce(loss, group=mesh.get_group("dp"))
    >>> loss.tolist(), mesh.mesh.tolist(), mesh.shape, mesh.ndim, mesh.size(), mesh.size("tp")
    ([3.0], [[0], [1]], (2, 1), 2, 2, 1)
    >>> mesh.get_rank() == mesh.get_local_rank("dp") == mesh.get_coordinate()[0] == dist.get_rank()
    True
    >>> mesh["dp"].get_group() is mesh.get_all_groups()[0]
    True
    """

    def __init__(self, device_type: str, mesh: Any, *, mesh_dim_names: Sequence[str] | None = None) -> None:
        ranks = _ranks_of("DeviceMesh", mesh)
        self._fill(device_type, ranks, mesh_dim_names)
        self._groups: list[ProcessGroup | object] = [self._make_group(dim) for dim in range(ranks.ndim)]

    def _fill(self, device_type: str, ranks: _Ranks, names: Sequence[str] | None) -> None:
        if not isinstance(device_type, str) or ":" in device_type:
            raise InvalidValueError(f'DeviceMesh: expected a type of device, such as "cpu", got {device_type!r}')
        at.device(device_type)  # raises for one that there is not
        if names is not None and (isinstance(names, str) or not isinstance(names, Sequence)):
            raise ArgumentError(f"DeviceMesh: expected mesh_dim_names to be a tuple of names, got {names!r}")
        if names is not None and (len(names) != ranks.ndim or len(set(names)) != len(names)):
            raise InvalidValueError(
                f"DeviceMesh: expected mesh_dim_names to be {ranks.ndim} different names, one for each dimension, "
                f"got {tuple(names)}"
            )
        self.device_type = device_type
        self.mesh_dim_names = None if names is None else tuple(names)
        self._ranks = ranks
        found = np.argwhere(ranks == get_rank())
        self._coordinate: tuple[int, ...] | None = tuple(found[0].tolist()) if len(found) else None

    def _make_group(self, dim: int) -> ProcessGroup | object:
        """The group of this rank's line along a dimension; every rank of the job makes the groups of all lines."""
        if self._ranks.ndim == 1 and self._ranks.tolist() == list(range(get_world_size())):
            return group_or_default(None, "DeviceMesh")
        lines = np.moveaxis(self._ranks, dim, -1).reshape(-1, self._ranks.shape[dim])
        groups = [new_group(line, sort_ranks=False) for line in lines.tolist()]
        return next((group for group in groups if isinstance(group, ProcessGroup)), groups[0])

    @staticmethod
    def from_group(
        group: ProcessGroup | Sequence[ProcessGroup],
        device_type: str,
        mesh: Any = None,
        *,
        mesh_dim_names: Sequence[str] | None = None,
    ) -> DeviceMesh:
        """The mesh of groups that are there already: one, whose ranks it has, or one along each dimension of ``mesh``.

        ``mesh`` is as in DeviceMesh, and so is ``mesh_dim_names``. Raises InvalidValueError where the groups are not
        this rank's lines of it, DistError on a rank that is not in it.

        >>> from atled import distributed as dist
        >>> dist.DeviceMesh.from_group(dist.new_group([0, 1]), "cpu", mesh_dim_names=("dp",))
        DeviceMesh('cpu', [0, 1], mesh_dim_names=('dp',))
        """
        what = "DeviceMesh.from_group"
        groups = [group_or_default(each, what) for each in (group if isinstance(group, Sequence) else [group])]
        if mesh is None and len(groups) > 1:
            raise InvalidValueError(f"{what}: expected mesh, the ranks of {len(groups)} dimensions, got None")
        ranks = np.array(groups[0].ranks, np.int64) if mesh is None else _ranks_of(what, mesh)
        made = DeviceMesh.__new__(DeviceMesh)
        made._fill(device_type, ranks, mesh_dim_names)
        if ranks.ndim != len(groups):
            raise InvalidValueError(f"{what}: expected a group for each of {ranks.ndim} dimensions, got {len(groups)}")
        for dim, members in enumerate(groups):
            place = made._place(what)
            line = ranks[tuple(slice(None) if i == dim else place[i] for i in range(ranks.ndim))].tolist()
            if list(members.ranks) != line:
                raise InvalidValueError(
                    f"{what}: expected the group of dimension {dim} to have this rank's line of the mesh, {line}, got "
                    f"the ranks {list(members.ranks)}"
                )
        made._groups = list(groups)
        return made

    def __getitem__(self, mesh_dim_names: str | Sequence[str]) -> DeviceMesh:
        """The mesh of some of the dimensions, in this mesh's order, through the place of this rank."""
        names = (mesh_dim_names,) if isinstance(mesh_dim_names, str) else tuple(mesh_dim_names)
        dims = [self._dim("DeviceMesh[]", name) for name in names]
        if not dims or dims != sorted(set(dims)):
            raise InvalidValueError(
                f"DeviceMesh[]: expected some of the names {self.mesh_dim_names}, in this order, got {names}"
            )
        place = self._place("DeviceMesh[]")
        index = tuple(slice(None) if dim in dims else place[dim] for dim in range(self.ndim))
        mesh = DeviceMesh.__new__(DeviceMesh)
        mesh._fill(self.device_type, self._ranks[index], names)
        mesh._groups = [self._groups[dim] for dim in dims]
        return mesh

    def _dim(self, what: str, dim: int | str | None) -> int:
        if dim is None:
            if self.ndim > 1:
                raise InvalidValueError(f"{what}: expected mesh_dim, for the mesh has {self.ndim} dimensions, got None")
            return 0
        if isinstance(dim, str):
            if dim not in (self.mesh_dim_names or ()):
                raise InvalidValueError(f"{what}: expected one of the names {self.mesh_dim_names}, got {dim!r}")
            return (self.mesh_dim_names or ()).index(dim)
        if not -self.ndim <= dim < self.ndim:
            raise InvalidValueError(f"{what}: expected mesh_dim from 0 to {self.ndim - 1}, got {dim}")
        return dim % self.ndim

    def _place(self, what: str) -> tuple[int, ...]:
        if self._coordinate is None:
            raise DistError(f"{what}: rank {get_rank()} is not in the mesh {self._ranks.tolist()}")
        return self._coordinate

    @property
    def mesh(self) -> Tensor:
        """The ranks, an int64 tensor on cpu."""
        return at.from_numpy(self._ranks.copy())

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of ranks along each dimension."""
        return self._ranks.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._ranks.ndim

    def size(self, mesh_dim: int | str | None = None) -> int:
        """The number of ranks along a dimension, by number or name (None: in all). Errors: `get_group`'s."""
        return self._ranks.size if mesh_dim is None else self._ranks.shape[self._dim("DeviceMesh.size", mesh_dim)]

    def get_group(self, mesh_dim: int | str | None = None) -> ProcessGroup:
        """This rank's group along a dimension, by number or name; None is the only one.

        Raises InvalidValueError for a dimension that there is not, DistError on a rank outside the mesh.
        """
        dim = self._dim("DeviceMesh.get_group", mesh_dim)
        self._place("DeviceMesh.get_group")
        return group_or_default(self._groups[dim], "DeviceMesh.get_group")

    def get_all_groups(self) -> list[ProcessGroup]:
        """The group along each dimension, in order; DistError on a rank outside the mesh."""
        return [self.get_group(dim) for dim in range(self.ndim)]

    def get_local_rank(self, mesh_dim: int | str | None = None) -> int:
        """The place of this rank along a dimension, by number or name (None: the only one). Errors: `get_group`'s."""
        return self._place("DeviceMesh.get_local_rank")[self._dim("DeviceMesh.get_local_rank", mesh_dim)]

    def get_coordinate(self) -> tuple[int, ...] | None:
        """The place of this rank along each dimension; None on a rank outside the mesh."""
        return self._coordinate

    def get_rank(self) -> int:
        """The number of this rank in the job."""
        return get_rank()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeviceMesh) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return self.device_type, self.mesh_dim_names, self.shape, self._ranks.tobytes()

    def __repr__(self) -> str:
        names = "" if self.mesh_dim_names is None else f", mesh_dim_names={self.mesh_dim_names}"
        return f"DeviceMesh({self.device_type!r}, {self._ranks.tolist()}{names})"


def _ranks_of(what: str, mesh: Any) -> _Ranks:
    """The ranks of a mesh as an array; raises for what is none."""
    world = group_or_default(None, what)
    try:
        ranks = np.array(mesh.tolist() if isinstance(mesh, Tensor) else mesh)
    except ValueError:  # of NumPy, for lists of different lengths
        raise InvalidValueError(f"{what}: expected lists of one length, got {mesh!r}") from None
    if ranks.dtype.kind not in "iu" or ranks.ndim == 0:
        raise ArgumentError(f"{what}: expected mesh to be ranks in at least one dimension, got {mesh!r}")
    if not ranks.size or len(np.unique(ranks)) != ranks.size or ranks.min() < 0 or ranks.max() >= world.size:
        raise InvalidValueError(
            f"{what}: expected distinct ranks of the job, from 0 to {world.size - 1}, got {ranks.tolist()}"
        )
    return ranks.astype(np.int64)


def init_device_mesh(
    device_type: str, mesh_shape: Sequence[int], *, mesh_dim_names: Sequence[str] | None = None
) -> DeviceMesh:
    """The mesh of the first ranks of the job in a grid of ``mesh_shape``, the last dimension running fastest.

    Joins the job by ``init_process_group()`` where that has not been done. Every rank of the job calls it.
    ``device_type`` and ``mesh_dim_names`` are as in `DeviceMesh`. Raises InvalidValueError where the job has fewer
    ranks than the grid, and what `DeviceMesh` raises.

    >>> from atled import distributed as dist
    >>> dist.init_device_mesh("cpu", (1, 2), mesh_dim_names=("replicate", "shard"))
    DeviceMesh('cpu', [[0, 1]], mesh_dim_names=('replicate', 'shard'))
    """
    if not is_initialized():
        init_process_group()
    shape = (mesh_shape,) if isinstance(mesh_shape, int) else tuple(mesh_shape)
    if not all(isinstance(each, int) for each in shape):
        raise ArgumentError(f"init_device_mesh: expected mesh_shape to be integers, got {mesh_shape!r}")
    count = int(np.prod(shape, dtype=np.int64))
    if not shape or min(shape) < 1 or count > get_world_size():
        raise InvalidValueError(
            f"init_device_mesh: expected mesh_shape of at most {get_world_size()} ranks, those of the job, got {shape}"
        )
    return DeviceMesh(device_type, np.arange(count, dtype=np.int64).reshape(shape), mesh_dim_names=mesh_dim_names)
