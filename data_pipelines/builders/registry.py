"""A table from dataset name to builder."""

from __future__ import annotations

import os

from data_pipelines.builders.base import GridBuilder
from data_pipelines.builders.cars3d import Cars3d
from data_pipelines.builders.dsprites import Dsprites
from data_pipelines.builders.falcor3d import Falcor3d
from data_pipelines.builders.isaac3d import Isaac3d
from data_pipelines.builders.mpi3d import Mpi3dComplex, Mpi3dReal, Mpi3dRealistic, Mpi3dToy
from data_pipelines.builders.rendered import DspritesRendered, Shapes3dRendered
from data_pipelines.builders.shapes3d import Shapes3d
from data_pipelines.builders.smallnorb import Smallnorb
from data_pipelines.specs import get_spec

_BUILDERS: tuple[type[GridBuilder], ...] = (
    Shapes3d,
    Shapes3dRendered,
    Dsprites,
    DspritesRendered,
    Mpi3dComplex,
    Mpi3dToy,
    Mpi3dRealistic,
    Mpi3dReal,
    Falcor3d,
    Isaac3d,
    Smallnorb,
    Cars3d,
)
BUILDERS: dict[str, type[GridBuilder]] = {builder.name: builder for builder in _BUILDERS}


def make_builder(
    name: str, data_dir: str | os.PathLike, source: str | os.PathLike | None = None, **kwargs
) -> GridBuilder:
    """Return the builder of dataset ``name``.

    Raises:
        UserError: no such dataset; the message names the nearest one.
    """
    return BUILDERS[get_spec(name).name](data_dir=data_dir, source=source, **kwargs)
