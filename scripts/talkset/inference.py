"""Runs a model over the clips of a shard: decode ahead on threads, batches across clips, results clip by clip in order.

Items (pictures, windows, waveforms) are made from clips by worker threads, as many as fit into `AHEAD` bytes before the
model has taken them, so a job's memory does not grow with the length of a clip. On a GPU the next batch is put together
and copied while the one before is computed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from talkset import progress
from talkset.faults import ClipFault, ToolFault

if TYPE_CHECKING:
    from talkset.clipdata import CropClip

# Items that wait for the model, bytes: about four seconds of 512 x 512 pictures at the speed of a large GPU.
AHEAD = 512 << 20


@dataclass
class Figures:
    """What one run of `batched` took.

    Attributes:
        items: that went through the model.
        clips: that came out, also those with a fault.
        seconds: from the first item asked for to the last result taken.
        busy: seconds of these in which the device was in `run`.
    """

    items: int = 0
    clips: int = 0
    seconds: float = 0.0
    busy: float = 0.0

    @property
    def waiting(self) -> float:
        """Share of the time in which the device waited for data."""
        return max(0.0, 1 - self.busy / self.seconds) if self.seconds else 0.0


def report(figures: Figures) -> None:
    """Say how fast a run was; called once at the end of each."""
    if figures.items:
        rate = figures.items / figures.seconds
        progress.say(
            f"{figures.items} items in {figures.seconds:.1f} s, {rate:.1f} a second; "
            f"the device waited for data {figures.waiting:.0%} of the time"
        )


def device() -> torch.device:
    """The first GPU if there is one, else the CPU.

    Model hubs are switched off for this process, and the libraries are told to compute the same way each time: float32
    means float32 (no TF32), and cuDNN picks its algorithms by rule, not by trial. On the CPU one thread computes,
    however many a job has: sums depend on the number of threads, and shards side by side use the cores better.
    """
    torch.set_num_threads(1)
    _keep_freed_memory()
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _keep_freed_memory() -> None:
    """Let glibc keep what tensors free: handing it back and asking for it anew is a third of a CPU job's time."""
    trim_threshold, mmap_threshold = -1, -3  # their numbers in malloc.h
    with contextlib.suppress(AttributeError, OSError):  # another C library has no such setting
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 2**30)


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """The context in which a model computes: `float16` where a GPU is asked to, else `float32`."""
    if precision == "float16" and device.type == "cuda":
        return torch.autocast("cuda", torch.float16)
    return contextlib.nullcontext()


def stored(array: np.ndarray, dtype: str, what: str) -> np.ndarray:
    """An array in the type in which it is stored.

    Args:
        array: as computed.
        dtype: `float16` or `float32`.
        what: clip and array, for the error.

    Raises:
        ToolFault: it holds values that are no numbers, or that the type cannot hold.
    """
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(array, dtype=dtype)
    if not np.isfinite(found).all():
        if np.isfinite(array).all():
            largest = np.abs(array).max()
            raise ToolFault(f"{what}: a value of {largest:g} does not fit into {dtype}; set dtype: float32")
        raise ToolFault(f"{what}: the model gave values that are no numbers; is its file whole, its precision enough?")
    return found


def batched(
    clips: Iterable[CropClip],
    items: Callable[[CropClip], Iterable[np.ndarray]],
    run: Callable[[torch.Tensor], dict[str, torch.Tensor]],
    *,
    size: int,
    device: torch.device,
    workers: int = 2,
) -> Iterator[tuple[CropClip, dict[str, np.ndarray] | ClipFault]]:
    """Yield every clip with the model's outputs for its items, or with the fault that making them raised.

    Args:
        clips: of the shard, in order.
        items: makes a clip's items one after the other, on a worker thread; may raise `ClipFault` at any of them. Items
            of one shape and type go into one batch, whichever clips they are from.
        run: the model: a batch `[n,...]` on `device`, in the items' type, to tensors `[n,...]` by name. Batches come in
            the order of clips and items.
        size: items a batch. It is halved for the rest of the run each time the GPU's memory does not suffice.
        device: where `run` computes.
        workers: threads that make items, each for another clip.

    Yields:
        The clip and, by name, arrays `[items of the clip,...]`, float32 where the model's are floating-point numbers.

    Raises:
        ToolFault: the GPU's memory does not suffice for one item.
    """
    figures, began = Figures(), time.perf_counter()
    model = _Model(run, size, device, figures)
    ahead = _Ahead(clips, items, workers)
    try:
        for result in _in_order(ahead, model):
            figures.clips += 1
            yield result
        figures.seconds = time.perf_counter() - began
        report(figures)
    finally:
        ahead.stop()


def _in_order(ahead: _Ahead, model: _Model) -> Iterator[tuple[CropClip, dict[str, np.ndarray] | ClipFault]]:
    """The clips with their results, each as soon as it and all before it are complete."""
    waiting: list[tuple[_Open, np.ndarray]] = []
    running: deque[_Batch] = deque()
    begun: deque[_Open] = deque()

    def complete() -> Iterator[tuple[CropClip, dict[str, np.ndarray] | ClipFault]]:
        while begun and begun[0].complete:
            place = begun.popleft()
            yield place.clip, place.result()

    for place, item in ahead:
        if not begun or begun[-1] is not place:
            begun.append(place)
        if item is None:
            place.all_taken = True
        else:
            if waiting and _kind(waiting[0][1]) != _kind(item):
                running.extend(model.start(waiting))
                waiting = []
            waiting.append((place, item))
            if len(waiting) >= model.size:
                running.extend(model.start(waiting))
                waiting = []
        while len(running) > model.depth:
            running.popleft().hand_out()
        yield from complete()
    running.extend(model.start(waiting))
    while running:
        running.popleft().hand_out()
    yield from complete()


def _kind(item: np.ndarray) -> tuple:
    return item.shape, item.dtype


@dataclass
class _Open:
    """A clip whose results are not complete.

    Attributes:
        clip: the clip.
        items: made so far and not yet taken by the model.
        made: number of items made so far.
        end: None = more may come; True = all were made; an exception = what making them raised.
        all_taken: `end` is known and no item waits.
        found: outputs of the items so far, by name.
        done: number of items whose outputs are there.
    """

    clip: CropClip
    items: deque[np.ndarray] = field(default_factory=deque)
    made: int = 0
    end: bool | BaseException | None = None
    all_taken: bool = False
    found: dict[str, list[np.ndarray]] = field(default_factory=dict)
    done: int = 0

    @property
    def complete(self) -> bool:
        """Whether `result` is known."""
        return self.all_taken and (self.end is not True or self.done == self.made)

    def result(self) -> dict[str, np.ndarray] | ClipFault:
        """The clip's arrays or its fault; raises what else making its items raised."""
        if isinstance(self.end, ClipFault):
            return self.end
        if isinstance(self.end, BaseException):
            raise self.end
        if not self.made:
            raise ValueError(f"{self.clip.clip}: no items; a clip that can have none is a ClipFault with its reason")
        return {name: np.concatenate(parts) for name, parts in self.found.items()}


class _Ahead:
    """Makes the items of clips on threads; iterating gives them in order, each with its clip.

    A worker holds one item and waits with it while those that lie there fill `AHEAD`. Only the clip that is taken from
    may always lay down one item, so that the model never waits for room that nothing would free.
    """

    def __init__(self, clips: Iterable[CropClip], items: Callable, workers: int):
        self._clips, self._make = iter(clips), items
        self._changed = threading.Condition()
        self._begun: deque[_Open] = deque()
        self._bytes = 0
        self._all_begun = self._stopped = False
        self._error: BaseException | None = None
        self._workers = [threading.Thread(target=self._work, name=f"items-{n}", daemon=True) for n in range(workers)]
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """End all threads; returns when they have ended."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def __iter__(self) -> Iterator[tuple[_Open, np.ndarray | None]]:
        """Yield `(clip, item)` in order, and `(clip, None)` when `clip.end` is known."""
        while (head := self._head()) is not None:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda head=head: head.items or head.end is not None)
                    item = head.items.popleft() if head.items else None
                    if item is not None:
                        self._bytes -= item.nbytes
                    else:
                        self._begun.popleft()
                    self._changed.notify_all()
                yield head, item
                if item is None:
                    break

    def _head(self) -> _Open | None:
        with self._changed:
            self._changed.wait_for(lambda: self._begun or self._all_begun)
            if self._begun:
                return self._begun[0]
            if self._error:
                raise self._error
            return None

    def _work(self) -> None:
        while (place := self._begin()) is not None:
            try:
                for item in self._make(place.clip):
                    if not self._lay_down(place, item):
                        return
                end = True
            except BaseException as error:  # it is raised, or given as the clip's fault, by who takes the items
                end = error
            with self._changed:
                place.end = end
                self._changed.notify_all()

    def _begin(self) -> _Open | None:
        with self._changed:
            if self._stopped or self._all_begun:
                return None
            try:
                place = _Open(next(self._clips))
                self._begun.append(place)
            except BaseException as error:
                place, self._all_begun = None, True
                self._error = None if isinstance(error, StopIteration) else error
            self._changed.notify_all()
            return place

    def _lay_down(self, place: _Open, item: np.ndarray) -> bool:
        def room() -> bool:
            return self._bytes + item.nbytes <= AHEAD or (place is self._begun[0] and not place.items)

        with self._changed:
            self._changed.wait_for(lambda: self._stopped or room())
            if self._stopped:
                return False
            place.items.append(item)
            place.made += 1
            self._bytes += item.nbytes
            self._changed.notify_all()
            return True


class _Model:
    """Runs batches on the device; halves them when its memory does not suffice."""

    def __init__(self, run: Callable, size: int, device: torch.device, figures: Figures):
        self.size = size
        self._run, self._device, self._figures = run, device, figures

    @property
    def depth(self) -> int:
        """Batches that may be under way while the next one is put together."""
        return 1 if self._device.type == "cuda" else 0

    def start(self, items: list[tuple[_Open, np.ndarray]]) -> Iterator[_Batch]:
        """Start computing; more than one batch where memory does not suffice for all items at once.

        Args:
            items: each with the clip that it is from.
        """
        while items:
            count = min(self.size, len(items))
            batch = self._try(items[:count])
            if batch:
                items = items[count:]
                yield batch
            elif count == 1:
                raise ToolFault("the GPU's memory does not suffice for a batch of 1; take a GPU with more of it")
            else:
                torch.cuda.empty_cache()
                self.size = count // 2
                progress.say(f"out of GPU memory at a batch of {count}; going on with {self.size}")

    def _try(self, items: list[tuple[_Open, np.ndarray]]) -> _Batch | None:
        """One batch, started; None if the memory does not suffice."""
        try:
            with torch.inference_mode():
                return _Batch(self._run, items, self._device, self._figures)
        except torch.OutOfMemoryError:
            return None


class _Batch:
    """One batch under way: copied to the device, computed, copied back."""

    def __init__(self, run: Callable, items: list[tuple[_Open, np.ndarray]], device: torch.device, figures: Figures):
        self._places = [place for place, _ in items]
        self._figures, self._clock = figures, _Clock(device)
        on_gpu = device.type == "cuda"
        first = items[0][1]
        dtype = torch.from_numpy(np.empty(0, first.dtype)).dtype
        inputs = torch.empty((len(items), *first.shape), dtype=dtype, pin_memory=on_gpu)
        np.stack([item for _, item in items], out=inputs.numpy())
        inputs = inputs.to(device, non_blocking=True)
        self._clock.begin()
        outputs = run(inputs)
        self._clock.end()
        self._outputs = {}
        for name, output in outputs.items():
            if len(output) != len(items):
                raise ValueError(f"{name}: the model gave {len(output)} rows for a batch of {len(items)}")
            output = output.float() if output.is_floating_point() else output
            copied = torch.empty(output.shape, dtype=output.dtype, pin_memory=on_gpu)
            self._outputs[name] = copied.copy_(output, non_blocking=True)
        self._clock.copied()

    def hand_out(self) -> None:
        """Give each clip the outputs for its items; waits until they are there."""
        self._figures.busy += self._clock.busy()
        self._figures.items += len(self._places)
        outputs = {name: output.numpy() for name, output in self._outputs.items()}
        start = 0
        for end, place in enumerate(self._places, 1):
            if end == len(self._places) or self._places[end] is not place:
                for name, output in outputs.items():
                    place.found.setdefault(name, []).append(output[start:end])
                place.done += end - start
                start = end


class _Clock:
    """Seconds that a batch takes on the device, by the device's own clock if it is a GPU."""

    def __init__(self, device: torch.device):
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(3)] if device.type == "cuda" else []
        self._times: list[float] = []

    def _mark(self, which: int) -> None:
        if self._events:
            self._events[which].record()
        else:
            self._times.append(time.perf_counter())

    def begin(self) -> None:
        """The model begins."""
        self._mark(0)

    def end(self) -> None:
        """The model is done."""
        self._mark(1)

    def copied(self) -> None:
        """The outputs are copied."""
        self._mark(2)

    def busy(self) -> float:
        """Seconds from begin to end; waits for `copied`."""
        if not self._events:
            return self._times[1] - self._times[0]
        self._events[2].synchronize()
        return self._events[0].elapsed_time(self._events[1]) / 1000
