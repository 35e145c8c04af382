"""Pinhole cameras: project points to pixels and triangulate them back, all in NumPy.

Shapes: points ``[..., 3]`` in metres, pixels ``[camera, ..., 2]``, cameras ``[camera, 3, 4]``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["IMAGE", "Array", "calibrated", "project", "triangulate"]

Array = NDArray[np.float64]

IMAGE = (1280.0, 960.0)
FOCAL = 1000.0
DISTANCE = 4.0
HEIGHT = 1.6
TARGET = np.array([0.0, 0.0, 1.2])


def calibrated(count: int = 3) -> Array:
    """Return the projection matrices of cameras on a circle that look at the shoulder."""
    angles = 2 * np.pi * np.arange(count) / count + 0.3
    return np.stack([_look_at(angle) for angle in angles])


def project(cameras: Array, points: Array) -> Array:
    """Project points into every camera.

    Args:
        cameras: ``[camera, 3, 4]``.
        points: ``[..., 3]``.

    Returns:
        Pixels, ``[camera, ..., 2]``.
    """
    rows = np.einsum("cij,...j->c...i", cameras[:, :, :3], points)
    shift = cameras[:, :, 3].reshape(-1, *[1] * (points.ndim - 1), 3)
    seen = rows + shift
    pixels: Array = seen[..., :2] / seen[..., 2:]
    return pixels


def triangulate(cameras: Array, pixels: Array) -> Array:
    """Find the points whose projections lie nearest to the pixels, by linear least squares.

    Args:
        cameras: ``[camera, 3, 4]``.
        pixels: ``[camera, ..., 2]``.

    Returns:
        Points, ``[..., 3]``.
    """
    lead = cameras.reshape(-1, *[1] * (pixels.ndim - 2), 3, 4)
    equations = pixels[..., None] * lead[..., 2:3, :] - lead[..., :2, :]
    equations = equations / FOCAL
    stacked = np.moveaxis(equations, 0, -3)
    stacked = stacked.reshape(*stacked.shape[:-3], -1, 4)
    left, right = stacked[..., :3], -stacked[..., 3]
    normal = np.einsum("...ki,...kj->...ij", left, left)
    moment = np.einsum("...ki,...k->...i", left, right)
    found: Array = np.linalg.solve(normal, moment[..., None])[..., 0]
    return found


def _look_at(angle: float) -> Array:
    """Return the matrix of one camera that stands at `angle` on the circle."""
    place = np.array([DISTANCE * np.cos(angle), DISTANCE * np.sin(angle), HEIGHT])
    forward = TARGET - place
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    lens = np.array([[FOCAL, 0.0, IMAGE[0] / 2], [0.0, FOCAL, IMAGE[1] / 2], [0.0, 0.0, 1.0]])
    matrix: Array = lens @ np.column_stack([rotation, -rotation @ place])
    return matrix
