"""SyncNet: by how much sound and lips are apart, and how sure that is.

Source: J. S. Chung and A. Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016;
github.com/joonson/syncnet_python at 6efbb1c, SyncNetModel.py, SyncNetInstance.py and run_pipeline.py. One stack of
layers turns 5 pictures of the lower face into a vector, another one the sound of the same 0.2 s; the two vectors lie
close to each other where the sound is that of the lips.
"""

from __future__ import annotations

import functools
import pickle
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import nn

from talkset.faults import ToolFault
from talkset.timeline import RATE

WINDOW = 5  # pictures that the network sees at once
SIDE = 224  # pixels
COLUMNS = 20  # columns of `mfcc` in the time of a window
PER_FRAME = 4  # columns of `mfcc` per picture
SHIFT = 15  # frames that are tried to both sides; confidence and distance compare only between equal numbers of them

PADDING = 110  # grey level beyond the picture
BEYOND = 0.4  # of the face's side: how far the square reaches beyond the face to the left, to the right and downwards
SMOOTHING = 13  # frames whose median a box is

# MFCC as the package python_speech_features 0.6 computes them when it is told nothing but the rate.
CEPSTRA, BANDS, LIFTER, EMPHASIS = 13, 26, 22, 0.97
FRAME, HOP, FFT = RATE // 40, RATE // 100, 512  # samples

# Kernel, stride and padding of each stack's layers; every convolution is followed by batch norm and ReLU.
SOUND = (
    ("conv", (3, 3), (1, 1), (1, 1)),
    ("pool", (1, 1), (1, 1), (0, 0)),
    ("conv", (3, 3), (1, 1), (1, 1)),
    ("pool", (3, 3), (1, 2), (0, 0)),
    ("conv", (3, 3), (1, 1), (1, 1)),
    ("conv", (3, 3), (1, 1), (1, 1)),
    ("conv", (3, 3), (1, 1), (1, 1)),
    ("pool", (3, 3), (2, 2), (0, 0)),
    ("conv", (5, 4), (1, 1), (0, 0)),
)
LIPS = (
    ("conv", (5, 7, 7), (1, 2, 2), (0, 0, 0)),
    ("pool", (1, 3, 3), (1, 2, 2), (0, 0, 0)),
    ("conv", (1, 5, 5), (1, 2, 2), (0, 1, 1)),
    ("pool", (1, 3, 3), (1, 2, 2), (0, 1, 1)),
    ("conv", (1, 3, 3), (1, 1, 1), (0, 1, 1)),
    ("conv", (1, 3, 3), (1, 1, 1), (0, 1, 1)),
    ("conv", (1, 3, 3), (1, 1, 1), (0, 1, 1)),
    ("pool", (1, 3, 3), (1, 2, 2), (0, 0, 0)),
    ("conv", (1, 6, 6), (1, 1, 1), (0, 0, 0)),
)
# The parts of the network, by their published names, and how many layers with a width each has.
PARTS = {"netcnnaud": 6, "netfcaud": 2, "netcnnlip": 6, "netfclip": 2}


class Agreement(NamedTuple):
    """How sound and lips of a clip agree.

    Attributes:
        offset: frames by which the sound comes before the lips that it belongs to; below 0: after them.
        confidence: median of the distances of all shifts minus the least one.
        distance: the least one.
    """

    offset: int
    confidence: float
    distance: float


class SyncNet(nn.Module):
    """Both stacks, under the published names of the tensors.

    Args:
        widths: outputs of each layer of each of `PARTS`.
    """

    def __init__(self, widths: dict[str, list[int]]) -> None:
        super().__init__()
        self.netcnnaud = _stack(SOUND, 1, widths["netcnnaud"], nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)
        self.netfcaud = _head(widths["netcnnaud"][-1], *widths["netfcaud"])
        self.netcnnlip = _stack(LIPS, 3, widths["netcnnlip"], nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)
        self.netfclip = _head(widths["netcnnlip"][-1], *widths["netfclip"])

    def sound(self, windows: torch.Tensor) -> torch.Tensor:
        """Vectors `[n,D]` of sound; `windows` `[n,20,13]` float32 (see `sound_windows`)."""
        return self.netfcaud(self.netcnnaud(windows.transpose(1, 2)[:, None]).flatten(1))

    def lips(self, windows: torch.Tensor) -> torch.Tensor:
        """Vectors `[n,D]` of lips; `windows` `[n,5,224,224,3]` BGR from 0 to 255 (see `face`)."""
        return self.netfclip(self.netcnnlip(windows.permute(0, 4, 1, 2, 3).float()).flatten(1))


def _stack(layers: tuple, channels: int, widths: list[int], conv: type, norm: type, pool: type) -> nn.Sequential:
    modules, left = [], iter(widths)
    for kind, kernel, stride, padding in layers:
        if kind == "pool":
            modules.append(pool(kernel, stride, padding))
        else:
            width = next(left)
            modules += [conv(channels, width, kernel, stride, padding), norm(width), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*modules)


def _head(channels: int, hidden: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, width))


def load(path: Path) -> SyncNet:
    """The network with a checkpoint's weights, as wide as these are, for inference.

    Args:
        path: what `torch.save` writes: tensors by name, named as published.

    Raises:
        ToolFault: the file cannot be read, or its tensors are not those of SyncNet.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise ToolFault(f"{path} does not load ({type(error).__name__}); fetch it again") from error
    try:
        widths = {part: _widths(state, part) for part in PARTS}
        found = {part: len(layers) for part, layers in widths.items()}
        if found != PARTS:
            raise ValueError(f"layers by part: {found}, expected {PARTS}")
        with torch.device("meta"):
            net = SyncNet(widths)
        net.to_empty(device="cpu").load_state_dict(state, strict=True)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        said = "; ".join(line.strip() for line in str(error).splitlines()[:4])
        raise ToolFault(f"{path}: not the weights of SyncNet: {said}") from error
    return net.eval().requires_grad_(False)


def _widths(state: dict[str, torch.Tensor], part: str) -> list[int]:
    """Outputs of the layers of one part: those of its weights that are no batch norm's."""
    found = {
        int(key.split(".")[1]): len(tensor)
        for key, tensor in state.items()
        if key.startswith(f"{part}.") and key.endswith(".weight") and tensor.ndim > 1
    }
    return [found[place] for place in sorted(found)]


def mfcc(samples: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients of sound, 100 columns a second of 25 ms each.

    Pre-emphasis 0.97, frames without a window, 26 triangles from 0 to 8 kHz on the power spectrum, logarithm, DCT,
    lifter 22; the first coefficient is the logarithm of the frame's energy. The last frame reaches beyond the sound,
    into zeros.

    Args:
        samples: `[640 T]`, 16 kHz, in the range of 16 bit integers: the first coefficient depends on it.

    Returns:
        `[4T-1,13]` float32.
    """
    samples = samples.astype(np.float64)
    samples = np.append(samples[:1], samples[1:] - EMPHASIS * samples[:-1])
    columns = 1 + max(0, -(-(len(samples) - FRAME) // HOP))
    samples = np.pad(samples, (0, (columns - 1) * HOP + FRAME - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2 / FFT
    cepstra = _log(power @ _bank().T) @ _cosines().T
    cepstra[:, 0] = _log(power.sum(axis=1))
    return cepstra.astype(np.float32)


def _log(power: np.ndarray) -> np.ndarray:
    return np.log(np.where(power == 0, np.finfo(np.float64).eps, power))


@functools.cache
def _bank() -> np.ndarray:
    """`[26,257]`: triangles between 28 bins of the spectrum, which lie evenly in mel, 2595 log10(1 + Hz / 700)."""
    mels = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), BANDS + 2)
    bins = np.floor((FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / RATE)
    low, middle, high = bins[:-2, None], bins[1:-1, None], bins[2:, None]
    at = np.arange(FFT // 2 + 1)
    rising = np.where((low <= at) & (at < middle), (at - low) / np.maximum(middle - low, 1), 0)
    return rising + np.where((middle <= at) & (at < high), (high - at) / np.maximum(high - middle, 1), 0)


@functools.cache
def _cosines() -> np.ndarray:
    """`[13,26]`: the first rows of the orthonormal DCT-II, each times its lifter."""
    row = np.arange(CEPSTRA)[:, None]
    cosines = np.sqrt(2 / BANDS) * np.cos(np.pi * row * (2 * np.arange(BANDS) + 1) / (2 * BANDS))
    cosines[0] /= np.sqrt(2)
    return (1 + LIFTER / 2 * np.sin(np.pi * row / LIFTER)) * cosines


def sound_windows(cepstra: np.ndarray) -> np.ndarray:
    """The sound of the pictures `k` to `k + 4`, for every `k` that has all its columns.

    Args:
        cepstra: `[4T-1,13]`, of `mfcc`; `T` is at least 6.

    Returns:
        `[T-5,20,13]`: the last window of pictures has a column too few.
    """
    windows = np.lib.stride_tricks.sliding_window_view(cepstra, COLUMNS, axis=0)[::PER_FRAME]
    return np.ascontiguousarray(windows.transpose(0, 2, 1))


def smoothed(values: np.ndarray) -> np.ndarray:
    """Median of each of `[T]` values and the six on both sides of it; beyond the ends there are zeros, as upstream."""
    padded = np.pad(values, SMOOTHING // 2)
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, SMOOTHING), axis=1)


def face(picture: np.ndarray, x: float, y: float, half: float) -> np.ndarray:
    """The lower part of a face as the network sees it.

    The square reaches from the face's upper edge to `BEYOND` of its side below the lower one, and as far to the left
    and to the right. Beyond the picture it is grey.

    Args:
        picture: `[H,W,3]` uint8.
        x: middle of the face's box, in pixels.
        y: the same.
        half: half of the box's longer side, in pixels.

    Returns:
        `[224,224,3]` uint8.
    """
    pad = int(half * (1 + 2 * BEYOND))  # whole pixels are cut off in the picture with this border, as upstream
    left, right = (int(x + pad + way * half * (1 + BEYOND)) - pad for way in (-1, 1))
    top, bottom = int(y + pad - half) - pad, int(y + pad + half * (1 + 2 * BEYOND)) - pad
    square = np.full((bottom - top, right - left, 3), PADDING, np.uint8)
    shown = picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    down, across = max(-top, 0), max(-left, 0)
    square[down : down + shown.shape[0], across : across + shown.shape[1]] = shown
    return cv2.resize(square, (SIDE, SIDE))


def agreement(lips: torch.Tensor, sound: torch.Tensor) -> Agreement:
    """Where sound and lips agree best.

    For every shift of up to `SHIFT` frames: the mean over the windows of the distance between lips and shifted sound.
    Beyond the ends of the sound there are zero vectors, so a shift of `s` frames compares `|s|` windows with nothing.

    Args:
        lips: `[n,D]` float32.
        sound: `[n,D]` float32.
    """
    padded = nn.functional.pad(sound, (0, 0, SHIFT, SHIFT))
    ahead = [padded[start : start + len(lips)] for start in range(2 * SHIFT + 1)]
    distances = torch.stack([nn.functional.pairwise_distance(lips, shifted).mean() for shifted in ahead])
    least = distances.min()
    return Agreement(SHIFT - int(distances.argmin()), float(distances.median() - least), float(least))
