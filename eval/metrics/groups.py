"""Groups of samples that agree in one source: the interventions behind FactorVAE and BetaVAE.

Published scores fix a source in a simulator and sample the rest. With samples alone, a group is
drawn (with replacement) from the samples at hand that share the value.
"""

import dataclasses

import numpy as np

from .errors import InputError
from .samples import Samples


@dataclasses.dataclass(frozen=True)
class Groups:
    """For every varying source, the samples sorted by its value.

    Attributes:
      order_SxN: row numbers, sorted by each source.
      first_SxN: for sample n, where its own value starts in `order_SxN[i]`.
      size_SxN: how many samples share that value.
      anchors: by source, the rows whose value another sample shares.
    """

    order_SxN: np.ndarray
    first_SxN: np.ndarray
    size_SxN: np.ndarray
    anchors: list[np.ndarray]

    def draw(
        self, random: np.random.Generator, num_groups: int, group_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws groups: a source for each, uniformly; a value of it, by frequency; then rows.

        Returns:
          source_G: which of the sources is fixed, int64.
          rows_GxM: row numbers of the samples of each group.
        """
        source_G, anchor_Gx1 = self._draw_anchors(random, num_groups, 1)
        anchor_GxM = np.broadcast_to(anchor_Gx1, (num_groups, group_size))
        return source_G, self._draw_partners(random, source_G, anchor_GxM)

    def draw_pairs(
        self, random: np.random.Generator, num_groups: int, num_pairs: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draws groups of pairs: a source for each group, uniformly; a value of it for each pair.

        Returns:
          source_G: which of the sources each pair of the group shares, int64.
          one_GxM, other_GxM: row numbers of either end of each pair.
        """
        source_G, anchor_GxM = self._draw_anchors(random, num_groups, num_pairs)
        return source_G, anchor_GxM, self._draw_partners(random, source_G, anchor_GxM)

    def _draw_anchors(
        self, random: np.random.Generator, num_groups: int, num_anchors: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """A source for each group, and rows (G, M) whose value of it others share."""
        source_G = random.integers(len(self.order_SxN), size=num_groups)
        anchor_GxM = np.empty((num_groups, num_anchors), dtype=np.int64)
        for source, anchors in enumerate(self.anchors):
            chosen_G = source_G == source
            size = (int(chosen_G.sum()), num_anchors)
            anchor_GxM[chosen_G] = random.choice(anchors, size=size)
        return source_G, anchor_GxM

    def _draw_partners(
        self, random: np.random.Generator, source_G: np.ndarray, anchor_GxM: np.ndarray
    ) -> np.ndarray:
        """For each anchor any row (G, M) that shares its value."""
        source_Gx1 = source_G[:, None]
        first_GxM = self.first_SxN[source_Gx1, anchor_GxM]
        size_GxM = self.size_SxN[source_Gx1, anchor_GxM]
        return self.order_SxN[source_Gx1, first_GxM + random.integers(size_GxM)]


def make_groups(samples: Samples) -> Groups:
    """Groups by the sources of `samples`, none of which may be constant.

    Raises:
      InputError: a source of which no value occurs twice.
    """
    order, first, size, anchors = [], [], [], []
    for labels_N, num_classes in zip(samples.sources_NxS.T, samples.num_classes, strict=True):
        count_C = np.bincount(labels_N, minlength=num_classes)
        if count_C.max() < 2:
            raise InputError(
                f"no value of a source occurs twice in {len(labels_N)} samples, and groups share "
                "a value: pass more samples"
            )
        order.append(np.argsort(labels_N, kind="stable"))
        first.append((np.cumsum(count_C) - count_C)[labels_N])
        size.append(count_C[labels_N])
        anchors.append(np.flatnonzero(count_C[labels_N] > 1))
    return Groups(np.stack(order), np.stack(first), np.stack(size), anchors)
