"""Which ffmpeg program is run where one is needed."""

from __future__ import annotations

import shutil

from talkset.faults import ToolFault


def ffmpeg_executable() -> str:
    """Path of the ffmpeg program.

    The one that comes with imageio-ffmpeg goes first: the lock file pins it, while the system's differs from machine to
    machine. The variable IMAGEIO_FFMPEG_EXE names another one.

    Raises:
        ToolFault: there is none.
    """
    try:
        import imageio_ffmpeg

        name = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        name = "ffmpeg"
    found = shutil.which(name)
    if not found:
        raise ToolFault(f"no ffmpeg program ({name!r} is not there): install the package imageio-ffmpeg")
    return found
