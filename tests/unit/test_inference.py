"""Batches go across clips, results come back clip by clip, and nothing that goes wrong is lost or hangs."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from talkset import inference, perclip
from talkset.faults import ClipFault, ToolFault

CPU = torch.device("cpu")
LENGTHS = {"a": 3, "b": 1, "c": 7, "d": 2}


def clip(name: str, items: int) -> SimpleNamespace:
    return SimpleNamespace(clip=name, items=items)


CLIPS = [clip(name, items) for name, items in LENGTHS.items()]


def numbered(clip) -> list[np.ndarray]:
    """Item k of a clip is `[k, letter]`."""
    return [np.array([k, ord(clip.clip)], np.float32) for k in range(clip.items)]


class Net:
    """Gives twice the item; keeps the sizes of its batches."""

    def __init__(self, most: int = 1000):
        self.sizes, self.most = [], most

    def __call__(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return {"twice": batch.double() * 2, "whole": torch.ones(len(batch), 2, dtype=torch.int32)}


def run(clips=CLIPS, items=numbered, net=None, size=4, **settings):
    return list(inference.batched(iter(clips), items, net or Net(), size=size, device=CPU, **settings))


@pytest.fixture(autouse=True)
def no_thread_survives():
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("items-")]
    assert not left


@pytest.mark.parametrize("under_way", [0, 1])
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_each_clip_gets_the_outputs_of_its_own_items_in_order(monkeypatch, size, workers, under_way):
    monkeypatch.setattr(inference._Model, "depth", under_way)  # 1: as on a GPU
    found = run(size=size, workers=workers)
    assert [clip.clip for clip, _ in found] == list(LENGTHS)
    for clip, arrays in found:
        np.testing.assert_array_equal(arrays["twice"], 2 * np.stack(numbered(clip)))
        assert arrays["twice"].dtype == np.float32 and arrays["whole"].dtype == np.int32
        assert arrays["whole"].shape == (clip.items, 2)


def test_batches_go_across_clips():
    net = Net()
    run(net=net, size=4)
    assert net.sizes == [4, 4, 4, 1]


def test_items_of_another_shape_or_type_close_the_batch():
    def items(clip):
        shape = (2, 2) if clip.clip == "c" else (2,)
        return [np.zeros(shape, np.uint8 if clip.clip == "d" else np.float32)] * clip.items

    net = Net()
    found = dict(zip(LENGTHS, (arrays for _, arrays in run(items=items, net=net)), strict=True))
    assert net.sizes == [4, 4, 3, 2]
    assert found["c"]["twice"].shape == (7, 2, 2) and found["d"]["twice"].shape == (2, 2)


def test_the_model_sees_the_items_own_type_and_no_gradients():
    seen = []

    def net(batch):
        seen.append((batch.dtype, torch.is_inference_mode_enabled()))
        return {"x": batch.half()}

    [(_, arrays)] = run([clip("a", 2)], lambda clip: [np.zeros((2, 3), np.uint8)] * clip.items, net)
    assert seen == [(torch.uint8, True)]
    assert arrays["x"].dtype == np.float32


def test_too_little_memory_halves_the_batch_for_the_rest(capsys):
    net = Net(most=3)
    found = run([clip("a", 20), clip("b", 9)], net=net, size=16)
    assert net.sizes == [16, 8, 4, 2] + [2] * 13 + [1]
    np.testing.assert_array_equal(found[1][1]["twice"][:, 0], 2 * np.arange(9))
    assert "out of GPU memory at a batch of 16; going on with 8" in capsys.readouterr().err


def test_too_little_memory_for_one_item_fails_the_job():
    with pytest.raises(ToolFault, match="memory does not suffice for a batch of 1"):
        run(net=Net(most=0))


@pytest.mark.parametrize("after", [0, 2, 6])
def test_a_clips_fault_is_its_result_also_after_some_items(after):
    def items(clip):
        for k, item in enumerate(numbered(clip)):
            if clip.clip == "c" and k == after:
                raise ClipFault("no face at frame 6")
            yield item

    found = {clip.clip: result for clip, result in run(items=items, size=2)}
    assert list(found) == list(LENGTHS)
    assert isinstance(found["c"], ClipFault) and found["c"].reason == "no face at frame 6"
    np.testing.assert_array_equal(found["d"]["twice"][:, 0], [0, 2])


def test_other_errors_arrive_after_the_clips_before_them():
    def items(clip):
        yield from numbered(clip)
        if clip.clip == "c":
            raise OSError("the disk is gone")

    results = inference.batched(iter(CLIPS), items, Net(), size=2, device=CPU)
    assert [next(results)[0].clip, next(results)[0].clip] == ["a", "b"]
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)


def test_an_error_of_the_model_arrives():
    def net(batch):
        raise RuntimeError("wrong weights")

    with pytest.raises(RuntimeError, match="wrong weights"):
        run(net=net)


def test_an_error_of_the_list_of_clips_arrives_after_its_clips():
    def clips():
        yield from CLIPS[:2]
        raise OSError("the shard is damaged")

    results = inference.batched(clips(), numbered, Net(), size=100, device=CPU)
    with pytest.raises(OSError, match="the shard is damaged"):
        list(results)


def test_a_clip_without_items_is_a_defect():
    with pytest.raises(ValueError, match="b: no items"):
        run([clip("a", 1), clip("b", 0)])


def test_a_model_that_loses_a_row_is_a_defect():
    with pytest.raises(ValueError, match="x: the model gave 3 rows for a batch of 4"):
        run(net=lambda batch: {"x": batch[1:]})


def test_no_clips():
    assert run([]) == []


def test_it_can_be_left_in_the_middle_while_workers_wait(monkeypatch):
    monkeypatch.setattr(inference, "AHEAD", 64)
    results = inference.batched(iter([clip("a", 4), clip("b", 10**9)]), endless, Net(), size=4, device=CPU)
    assert next(results)[0].clip == "a"
    results.close()


def endless(clip):
    for k in range(clip.items):
        yield np.array([k, 0], np.float32)


def test_memory_is_bounded_however_long_the_clips_are(monkeypatch):
    """No more items lie there than fit, plus the one that each worker holds and those of the batch."""
    monkeypatch.setattr(inference, "AHEAD", 10 * 8)
    lock, alive, most = threading.Lock(), 0, 0

    def items(clip):
        nonlocal alive, most
        for item in endless(clip):
            with lock:
                alive += 1
                most = max(most, alive)
            yield item

    def net(batch):
        nonlocal alive
        with lock:
            alive -= len(batch)
        return {"x": batch}

    run([clip(name, 300) for name in "abc"], items, net, size=4, workers=3)
    assert alive == 0
    assert most <= 10 + 3 + 4 + 1


def test_clips_are_made_ahead_at_the_same_time(monkeypatch):
    """Two workers must be inside two clips at once, or this waits in vain."""
    together = threading.Barrier(2, timeout=10)

    def items(clip):
        together.wait()
        return numbered(clip)

    assert len(run(CLIPS[:2], items, workers=2)) == 2


def test_figures_say_how_long_the_device_waited(monkeypatch):
    told = []
    monkeypatch.setattr(inference, "report", told.append)

    def slow(clip):
        for item in numbered(clip):
            time.sleep(0.02)
            yield item

    def net(batch):
        time.sleep(0.005 * len(batch))
        return {"x": batch}

    run(items=slow, net=net, size=2, workers=1)
    [figures] = told
    assert (figures.items, figures.clips) == (13, 4)
    assert 0.065 <= figures.busy < figures.seconds and figures.seconds >= 0.26
    assert figures.waiting == pytest.approx(1 - figures.busy / figures.seconds)
    assert figures.waiting > 0.5


def test_what_is_said_at_the_end(capsys):
    inference.report(inference.Figures(items=50, clips=2, seconds=2.0, busy=1.5))
    said = "50 items in 2.0 s, 25.0 a second; the device waited for data 25% of the time"
    assert said in capsys.readouterr().err
    inference.report(inference.Figures())
    assert not capsys.readouterr().err


def test_device_fixes_threads_and_switches_hubs_off(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    before = torch.get_num_threads()
    try:
        device = inference.device()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert inference.os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_cpu_computes_in_float32_whatever_is_asked_for():
    with inference.autocast("float16", CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("value", "dtype", "says"),
    [
        (np.nan, "float32", "c/x: the model gave values that are no numbers"),
        (np.inf, "float16", "c/x: the model gave values that are no numbers"),
        (1e5, "float16", "c/x: a value of 100000 does not fit into float16; set dtype: float32"),
    ],
)
def test_what_is_no_number_is_not_stored(value, dtype, says):
    with pytest.raises(ToolFault, match=says):
        inference.stored(np.array([0, value], np.float32), dtype, "c/x")


def test_stored_arrays_have_the_type_asked_for():
    found = inference.stored(np.arange(6, dtype=np.float32).reshape(2, 3).T, "float16", "c/x")
    assert found.dtype == np.float16 and found.flags.c_contiguous and found.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_by_clip_gives_results_and_faults():
    def items(clip):
        if clip.clip == "b":
            raise ClipFault("no sound")
        return {"n": clip.items}

    found = {clip.clip: result for clip, result in perclip.by_clip(iter(CLIPS), items)}
    assert (found["a"], found["b"].reason, found["c"]) == ({"n": 3}, "no sound", {"n": 7})


def test_results_are_held_against_the_clips():
    def each(change):
        return list(perclip.in_step(CLIPS, lambda clips: ((clip, 1) for clip in change(list(clips)))))

    assert [clip.clip for clip, _ in each(lambda clips: clips)] == list(LENGTHS)
    with pytest.raises(ValueError, match="a: the plug-in gave d in its place"):
        each(lambda clips: clips[::-1])
    with pytest.raises(ValueError, match="d: the plug-in gave nothing in its place"):
        each(lambda clips: clips[:-1])
    with pytest.raises(ValueError, match="more results than clips"):
        each(lambda clips: clips * 2)


def test_the_plugin_is_closed_when_its_results_are_left():
    closed = []

    def plugin(clips):
        try:
            yield from ((clip, 1) for clip in clips)
        finally:
            closed.append(True)

    results = perclip.in_step(CLIPS, plugin)
    next(results)
    results.close()
    assert closed == [True]
