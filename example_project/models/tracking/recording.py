"""A synthetic recording: an arm that is raised and lowered, seen with noise and gross errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.tracking.cameras import IMAGE, Array, calibrated, project

__all__ = ["BONES", "JOINTS", "Recording", "record"]

JOINTS = ("shoulder", "elbow", "wrist", "fingertip")
BONES = ("upper_arm", "forearm", "hand")
LENGTHS = np.array([0.31, 0.26, 0.18])
POSTURES = np.array([[0.35, 0.2, -0.9], [0.25, 0.55, 0.8]])
STAY = 0.96
PIXEL_NOISE = 2.0
GROSS_ERRORS = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Hold what the cameras saw.

    Attributes:
        cameras: projection matrices, ``[camera, 3, 4]``.
        keypoints: detected joints in pixels, ``[camera, frame, joint, 2]``.
    """

    cameras: Array
    keypoints: Array

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.keypoints.shape[1])


def record(frames: int, *, seed: int = 0) -> Recording:
    """Film the arm for a number of frames.

    Args:
        frames: at least 2.
        seed: of ``numpy.random.RandomState``, whose stream never changes between releases.
    """
    rng = np.random.RandomState(seed)
    joints = _skeleton(rng, frames)
    cameras = calibrated()
    keypoints = project(cameras, joints)
    keypoints = keypoints + PIXEL_NOISE * rng.standard_normal(keypoints.shape)
    lost = rng.uniform(size=(*keypoints.shape[:-1], 1)) < GROSS_ERRORS
    elsewhere = rng.uniform(size=keypoints.shape) * np.array(IMAGE)
    keypoints = np.where(lost, elsewhere, keypoints)
    return Recording(cameras=cameras, keypoints=keypoints.round(2))


def _skeleton(rng: np.random.RandomState, frames: int) -> Array:
    """Return the true joints, ``[frame, joint, 3]``."""
    switches = rng.uniform(size=frames) > STAY
    posture = POSTURES[np.cumsum(switches) % len(POSTURES)]
    bones = posture[:, None, :] + 0.25 * rng.standard_normal((frames, len(BONES), 3))
    bones = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    lengths = LENGTHS * np.exp(0.01 * rng.standard_normal((frames, len(BONES))))
    steps = 0.01 * rng.standard_normal((frames, 3))
    shoulder = np.array([0.0, 0.0, 1.2]) + np.cumsum(steps, axis=0)
    chain = np.cumsum(lengths[..., None] * bones, axis=1)
    return np.concatenate([shoulder[:, None], shoulder[:, None] + chain], axis=1)
