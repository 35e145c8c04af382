"""The arm as a PyMC model: a chain of bones on a wandering shoulder, in one of two postures.

The shoulder does a random walk, bone lengths scatter around their means, and a hidden Markov model
explains the directions of the bones. A recording of ``n`` frames has ``15 n + 25`` unconstrained
values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from models.tracking.cameras import IMAGE, Array, triangulate
from models.tracking.hmm import log_marginal, log_sum
from models.tracking.recording import BONES, JOINTS, Recording

if TYPE_CHECKING:
    from pytensor.tensor import TensorVariable

__all__ = ["build"]

POSTURES = ("lowered", "raised")
SOFTENING = 1e-8


def build(recording: Recording) -> pm.Model:
    """Build the model of one recording; it starts from triangulated joints."""
    coords = {
        "frame": np.arange(recording.frames),
        "step": np.arange(1, recording.frames),
        "axis": ["x", "y", "z"],
        "bone": BONES,
        "joint": JOINTS,
        "posture": POSTURES,
        "next_posture": POSTURES,
        "camera": np.arange(len(recording.cameras)),
        "pixel": ["u", "v"],
    }
    joints = triangulate(recording.cameras, recording.keypoints)
    with pm.Model(coords=coords) as model:
        shoulder = _shoulder(joints[:, 0])
        directions = _directions(joints)
        chain = pt.cumsum(_lengths(joints)[:, :, None] * directions, axis=1)
        skeleton = pt.concatenate([shoulder[:, None], shoulder[:, None] + chain], axis=1)
        _keypoints(recording, skeleton)
        _postures(directions, frames=recording.frames)
    return model


def _shoulder(start: Array) -> TensorVariable:
    """Add the random walk of the shoulder, ``[frame, 3]``, in terms of its innovations."""
    variance = np.full(3, 1e-3)
    eta2 = pm.HalfNormal("eta2_root", 0.1, dims="axis", initval=variance)
    origin = pm.Normal("x0_root", [0.0, 0.0, 1.2], 0.5, dims="axis", initval=start[0])
    innovation = np.diff(start, axis=0) / np.sqrt(variance)
    eps = pm.Normal("eps_root", dims=("step", "axis"), initval=innovation)
    walk = pt.cumsum(eps * pt.sqrt(eta2), axis=0)
    return pt.concatenate([origin[None], origin + walk])


def _lengths(joints: Array) -> TensorVariable:
    """Add the length of each bone in each frame, ``[frame, bone]``."""
    measured = np.linalg.norm(np.diff(joints, axis=1), axis=-1)
    typical = np.median(measured, axis=0)
    rho = pm.LogNormal("rho", np.log(0.25), 0.5, dims="bone", initval=typical)
    sigma2 = pm.Exponential("sigma2", 100.0, dims="bone", initval=np.full(len(BONES), 0.01))
    lengths = [
        pm.LogNormal(
            f"length_{bone + 1}",
            pt.log(rho[bone]),
            pt.sqrt(sigma2[bone]),
            dims="frame",
            initval=measured[:, bone],
        )
        for bone in range(len(BONES))
    ]
    return pt.stack(lengths, axis=1)


def _directions(joints: Array) -> TensorVariable:
    """Add the unit vector along each bone, ``[frame, bone, 3]``."""
    bones = np.diff(joints, axis=1)
    start = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    raw = pm.Normal("direction_raw", dims=("frame", "bone", "axis"), initval=start)
    return unit(raw)


def _keypoints(recording: Recording, skeleton: TensorVariable) -> None:
    """Add the detected joints: near their projection, or anywhere in the image."""
    matrices = recording.cameras[:, None, None]
    seen = pt.sum(matrices[..., :3] * skeleton[None, :, :, None, :], axis=-1) + matrices[..., 3]
    obs_sigma = pm.HalfNormal("obs_sigma", 10.0, initval=5.0)
    logodds = pm.Normal("logodds_inlier", 2.0, 1.0)
    pm.CustomDist(
        "y_obs",
        seen[..., :2] / seen[..., 2:],
        obs_sigma,
        logodds,
        logp=keypoint_logp,
        signature="(k),(),()->(k)",
        dims=("camera", "frame", "joint", "pixel"),
        observed=recording.keypoints,
    )


def _postures(directions: TensorVariable, *, frames: int) -> None:
    """Add the hidden Markov model: in each posture the bones point one way, more or less."""
    mu_raw = pm.Normal("dir_hmm_mu_raw", dims=("posture", "axis"))
    kappa = pm.Gamma("dir_hmm_kappa", 2.0, 0.3, dims="posture")
    init = pm.Normal("dir_hmm_init_logits", [0.5, -0.5], 1.0, dims="posture")
    stay = 1.5 * np.eye(len(POSTURES))
    transition = pm.Normal("dir_hmm_trans_logits", stay, 1.0, dims=("posture", "next_posture"))
    log_density = direction_logp(directions[:, None], unit(mu_raw)[:, None], kappa[:, None])
    evidence = log_marginal(
        _log_softmax(init), _log_softmax(transition), log_density.sum(axis=-1), steps=frames
    )
    pm.Potential("dir_hmm", evidence)


def unit(vectors: TensorVariable) -> TensorVariable:
    """Scale vectors to length one, softened so that the zero vector stays where it is."""
    return vectors / pt.sqrt(pt.sum(vectors**2, axis=-1, keepdims=True) + SOFTENING)


def direction_logp(
    direction: TensorVariable, mean: TensorVariable, kappa: TensorVariable
) -> TensorVariable:
    """Return the von Mises-Fisher log-density on the sphere, ``[..., 3] -> [...]``."""
    along = pt.sum(direction * mean, axis=-1)
    return kappa * (along - 1) + pt.log(kappa / (2 * np.pi)) - pt.log1p(-pt.exp(-2 * kappa))


def keypoint_logp(
    keypoint: TensorVariable, centre: TensorVariable, sigma: TensorVariable, logodds: TensorVariable
) -> TensorVariable:
    """Return the log-density of keypoints, ``[..., 2] -> [...]``: an inlier or a gross error."""
    squared = pt.sum((keypoint - centre) ** 2, axis=-1)
    inlier = -squared / (2 * sigma**2) - 2 * pt.log(sigma) - np.log(2 * np.pi)
    gross = pt.full_like(inlier, -np.log(IMAGE[0] * IMAGE[1]))
    odds = _log_softmax(pt.stack([logodds, pt.zeros_like(logodds)], axis=-1))
    return log_sum(pt.stack([inlier, gross], axis=-1) + odds, axis=-1)


def _log_softmax(logits: TensorVariable) -> TensorVariable:
    """Return log-probabilities over the last axis."""
    return logits - log_sum(logits, axis=-1)[..., None]
