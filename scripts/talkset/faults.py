"""The three kinds of failure (and only these), so that nothing is lost and nothing is silent.

`ClipFault`   the clip's own fault: it becomes a row with a status and a reason, the job goes on and succeeds.
`LaneBlocked` the site refuses this session: the download lane stops, the videos stay untried, the job fails.
`ToolFault`   our environment's fault (disk, missing model, wrong version, bad config): the job fails at once.

Anything else that escapes is a defect of talkset and fails the job with its trace.
"""

from __future__ import annotations

# What a clip can end as. The ledger, the README's table and the tests all read this one mapping.
STATUSES = {
    "ok": "kept: its crop is there, and its features; what a clip cannot have (mel without sound) is named",
    "rejected": "processed, but at least one hard quality rule speaks against it; every rule that does is named",
    "no-window": "the annotation has no crop window for this clip, so there is nothing to crop",
    "gone": "the source video was removed, made private or is otherwise no longer published",
    "needs-access": "the source video needs an account, an age check or another country",
    "failed": "the clip itself cannot be used: unreadable, outside the video, no face; the reason says which",
}


class ClipFault(Exception):
    """A fault of one clip or one source video.

    Args:
        reason: one sentence for the ledger, with the value that was found.
        status: one of `STATUSES` except `ok`.
    """

    def __init__(self, reason: str, status: str = "failed"):
        if status not in STATUSES or status == "ok":
            raise ValueError(f"a clip cannot end as {status!r}; known: {sorted(set(STATUSES) - {'ok'})}")
        super().__init__(reason)
        self.reason = reason
        self.status = status


class LaneBlocked(Exception):
    """The site refuses this session (bot check, rate limit); says nothing about the video."""


class ToolFault(Exception):
    """The environment or the configuration is wrong; the text says what to do."""
