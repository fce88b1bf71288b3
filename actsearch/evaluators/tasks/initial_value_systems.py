"""Four systems of mechanics with five coordinates in all, and how they truly move.

Coordinates, in this order: a fall from rest with quadratic drag; a spring; a pendulum that starts
115 degrees from below; x and y of Henon and Heiles 1964. No units.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

DURATION = 3.0
GRAVITY, DRAG, STIFFNESS, PENDULUM = 1.0, 0.5, 4.0, 2.0
START = (0.0, 1.0, 2.0, 0.3, -0.2)
START_VELOCITY = (0.0, 0.0, 0.0, 0.2, 0.3)
CONSERVATIVE = ("spring", "pendulum", "henon-heiles")


def acceleration(position: Tensor, velocity: Tensor) -> Tensor:
    """(..., 5) of both to the same."""
    _, spring, angle, x, y = position.unbind(-1)
    fall = velocity[..., 0]
    return torch.stack(
        [
            -GRAVITY - DRAG * fall * fall.abs(),
            -STIFFNESS * spring,
            -PENDULUM * torch.sin(angle),
            -x - 2 * x * y,
            -y - x.square() + y.square(),
        ],
        dim=-1,
    )


def energies(position: Tensor, velocity: Tensor) -> Tensor:
    """(..., 5) of both to (..., 3), of the systems in `CONSERVATIVE`."""
    _, spring, angle, x, y = position.unbind(-1)
    _, spring_kinetic, angle_kinetic, x_kinetic, y_kinetic = (velocity.square() / 2).unbind(-1)
    return torch.stack(
        [
            spring_kinetic + STIFFNESS * spring.square() / 2,
            angle_kinetic + PENDULUM * (1 - torch.cos(angle)),
            x_kinetic + y_kinetic + (x.square() + y.square()) / 2 + x.square() * y - y.pow(3) / 3,
        ],
        dim=-1,
    )


def motion(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (N, 5) float64 at times (N,) in [0, DURATION], to about 1e-10."""
    # Imported late: scipy.integrate takes a while, and the command line lists tasks.
    from scipy.integrate import solve_ivp

    def slope(time: float, state: np.ndarray) -> np.ndarray:
        position, velocity = torch.from_numpy(state.copy()).split(len(START))
        return torch.cat([velocity, acceleration(position, velocity)]).numpy()

    order = np.argsort(times)
    start = np.array([*START, *START_VELOCITY])
    solution = solve_ivp(
        slope, (0, DURATION), start, "DOP853", t_eval=times[order], rtol=1e-11, atol=1e-12
    )
    states = np.empty((len(times), len(start)))
    states[order] = solution.y.T
    return states[:, : len(START)], states[:, len(START) :]
