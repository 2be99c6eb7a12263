"""How sharp a face is."""

from __future__ import annotations

import cv2
import numpy as np


def sharpness(frame: np.ndarray, box: np.ndarray, size: int) -> float | None:
    """Variance of the Laplacian of one face, see `blur` in `quality.SCORES`; `None` if the box holds no pixel.

    The measure is that of J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000. The
    fixed size makes it comparable between faces that are large and small in the crop.
    """
    if np.isnan(box).any():
        return None
    x0, y0 = np.maximum(np.floor(box[:2]), 0).astype(int)
    x1, y1 = np.ceil(box[2:]).astype(int)
    face = frame[y0 : max(y1, 0), x0 : max(x1, 0)]
    if not face.size:
        return None
    grey = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_RGB2GRAY)
    shrinks = min(grey.shape) > size
    grey = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())
