"""Predefined attention maps around AU centres, as JAA-Net and EAC-Net draw them; batches of torch tensors.

B batch, A action units, M side of the map in cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

EAC_GRID = 100
EAC_HALF_CELLS = 5
EAC_SLOPE = 0.095


def attention_maps(centres: Tensor, crop_px: int, map_px: int, zeta: float = 0.14, xi: float = 0.56) -> Tensor:
    """Attention maps of JAA-Net (Shao et al. 2018, section 3.3, with the rounding of the published code).

    A centre goes to the cell round(centre * M / crop). Inside the square of half side h = round((M - 1) / 2 * zeta)
    the value is max(0, 1 - d * xi / (zeta * M)), d the Manhattan distance in cells; outside it is 0. The two centres
    of an AU share a map by the larger value. At M = 44, h = 3 and the slope is 0.0909; at M = 52, 4 and 0.0769.

    Args:
        centres: (B, A, 2, 2) px of the crop, from `vultus.face.regions.au_centres`; no gradient flows back. Values
            beyond -crop..2 crop are clamped, a NaN leaves no mark.
        crop_px: side of the picture that the centres are measured in.
        map_px: M.
        zeta: side of an AU's square as a share of the map.
        xi: slope.

    Returns:
        (B, A, M, M) float32 in 0..1; row is y.

    Raises:
        ValueError: the centres are not (B, A, 2, 2).
    """
    half_cells = round((map_px - 1) / 2 * zeta)
    return _diamonds(centres, crop_px, map_px, half_cells, xi / (zeta * map_px))


def eac_attention_maps(centres: Tensor, crop_px: int) -> Tensor:
    """Attention maps of EAC-Net (Li et al. 2018): 1 - 0.095 d on a grid of 100, within 5 cells of a centre.

    Args:
        centres: (B, A, 2, 2) px of the crop, by the ``eac`` rule.
        crop_px: side of the picture that the centres are measured in.

    Returns:
        (B, A, 100, 100) in 0..1.

    Raises:
        ValueError: the centres are not (B, A, 2, 2).
    """
    return _diamonds(centres, crop_px, EAC_GRID, EAC_HALF_CELLS, EAC_SLOPE)


def _diamonds(centres: Tensor, crop_px: int, map_px: int, half_cells: int, slope: float) -> Tensor:
    if centres.ndim != 4 or centres.shape[-2:] != (2, 2):
        raise ValueError(f"expected (B, A, 2, 2) centres, got {tuple(centres.shape)}")
    # A landmark head that diverges sends NaN and infinities here, and bfloat16 cannot hold a cell number exactly.
    bounded = centres.detach().float().nan_to_num(nan=-crop_px, posinf=2 * crop_px, neginf=-crop_px)
    cells = (bounded.clamp(-crop_px, 2 * crop_px) * (map_px / crop_px)).round()
    axis = torch.arange(map_px, dtype=cells.dtype, device=cells.device)
    distance = (axis - cells[..., None]).abs()  # (B, A, 2 centres, 2 axes, M)
    across, down = distance[..., 0, None, :], distance[..., 1, :, None]
    inside = (across <= half_cells) & (down <= half_cells)
    value = (1 - (across + down) * slope).clamp(min=0) * inside
    return value.amax(dim=2)
