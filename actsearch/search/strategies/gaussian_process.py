"""Exact Gaussian-process regression for points that come one by one and a pool that stays."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import solve_triangular


class GaussianProcess:
    """Zero mean, unit variance, Matérn 5/2 kernel of the Euclidean distance.

    The covariance of the points is kept as its Cholesky factor L, and the pool as
    L^-1 k(points, pool), so that one more point costs about points * pool operations.

    Args:
        length_scale: > 0; distances are divided by it.
        noise: > 0; variance of a target about the function.
    """

    def __init__(self, length_scale: float, noise: float) -> None:
        self.length_scale = length_scale
        self.noise = noise
        self._points = np.empty((0, 0))
        self._factor = np.empty((0, 0))
        self._count = 0
        self._pool = np.empty((0, 0))
        self._projected = np.empty((0, 0))
        self._done = 0

    def add(self, point: np.ndarray) -> None:
        """Take one more point, (width,)."""
        count = self._count
        if count == len(self._factor):
            self._factor = _enlarged(self._factor, 2 * count + 16, 2 * count + 16)
            self._points = _enlarged(self._points, 2 * count + 16, len(point))
        row = np.empty(0)
        if count:
            covariance = self._kernel(self._points[:count], point[None])[:, 0]
            row = _solved(self._factor[:count, :count], covariance)
        self._points[count] = point
        self._factor[count, :count] = row
        self._factor[count, count] = math.sqrt(1 + self.noise - row @ row)
        self._count += 1

    def predict(self, targets: np.ndarray, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the function at the pool.

        Args:
            targets: (points,) float64.
            pool: (candidates, width); if it is the same array as before, only new points are
                worked in.

        Returns:
            Two float64 arrays (candidates,).
        """
        rows = self._rows(pool)
        mean = _solved(self._factor[: self._count, : self._count], targets) @ rows
        variance = 1 - np.einsum("nm,nm->m", rows, rows)
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def covariance(self, pool: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Posterior covariance (chosen, chosen) of the function at members of the pool.

        Args:
            pool: as of `predict`.
            chosen: int indices into it.
        """
        rows = self._rows(pool)[:, chosen]
        return self._kernel(pool[chosen], pool[chosen]) - rows.T @ rows

    def _rows(self, pool: np.ndarray) -> np.ndarray:
        if pool is not self._pool:
            self._pool, self._done = pool, 0
            self._projected = np.empty((0, len(pool)))
        count, done = self._count, self._done
        if count > len(self._projected):
            self._projected = _enlarged(self._projected, len(self._factor), len(pool))
        if count > done:
            covariance = self._kernel(self._points[done:count], pool)
            covariance -= self._factor[done:count, :done] @ self._projected[:done]
            self._projected[done:count] = _solved(self._factor[done:count, done:count], covariance)
            self._done = count
        return self._projected[:count]

    def _kernel(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        squared = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
        scaled = np.sqrt(5 * np.maximum(squared, 0.0)) / self.length_scale
        return (1 + scaled + scaled**2 / 3) * np.exp(-scaled)


def _solved(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    return solve_triangular(factor, right, lower=True, check_finite=False)


def _enlarged(matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    larger = np.zeros((rows, columns))
    larger[: matrix.shape[0], : matrix.shape[1]] = matrix
    return larger
