"""What a downloader's message means. yt-dlp has no typed errors, so its texts are all there is to go by.

The order of `RULES` decides: a refused session can call itself "Video unavailable", a private video asks to sign in.
Texts were taken from yt-dlp 2026.10 (extractor/youtube, downloader, YoutubeDL.py) and from reports of its users.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Meanings. `failed` is the annotation list's own fault: the address cannot belong to any video.
GONE, NEEDS_ACCESS, FAILED = "gone", "needs-access", "failed"
BLOCKED, TOOLING, TRANSIENT = "blocked", "tooling", "transient"

# What to do about two common ones.
UPGRADE = "upgrade yt-dlp: its view of the site is out of date"
TOKEN = "upgrade yt-dlp, or install a PO token provider for it"
SOLVER = "install yt-dlp-ejs in the release that yt-dlp asks for"

# (meaning, pattern, hint). Patterns meet the text in lower case, with ' for every apostrophe and single blanks. At `$S`
# the sentence must end: "This video is not available from your location" means something else.
RULES = tuple(
    (meaning, re.compile(pattern.replace("$S", r"\s*(?:\.|$)")), hint)
    for meaning, pattern, hint in (
        # The address is not that of a video; yt-dlp's ids for it are of its own making.
        (FAILED, r"incomplete youtube id", ""),
        (FAILED, r"\[youtube:truncated_(?:url|id)\]", ""),
        # The session is refused. These come first: several begin with "Video unavailable".
        (BLOCKED, r"sign in to confirm you're not a bot", ""),
        (BLOCKED, r"this content isn't available, try again later", ""),
        (BLOCKED, r"has been rate-limited", ""),
        (BLOCKED, r"you've hit the request limit", ""),
        (BLOCKED, r"requiring a captcha challenge before playback", ""),
        (BLOCKED, r"your ip is likely being blocked", ""),
        (BLOCKED, r"account cookies are no longer valid", "export them anew from a private window that is then closed"),
        (BLOCKED, r"fragment 1 not found, unable to continue", ""),
        (BLOCKED, r"http error (?:429|402|403)\b", ""),
        # A part of a video that is known to be there: its address has run out or a server lacks it for now.
        (TRANSIENT, r"(?:video data|fragment|\[download\]|manifest|m3u8).*http error (?:404|410)\b", ""),
        (TRANSIENT, r"fragment \d+ not found, unable to continue", ""),
        # No longer published.
        (GONE, r"private video\b", ""),
        (GONE, r"this video is private", ""),
        (GONE, r"this video has been removed by the uploader", ""),
        (GONE, r"account associated with this video has been terminated", ""),
        (GONE, r"the uploader has closed their youtube account", ""),
        (GONE, r"violating youtube's (?:terms of service|policy)", ""),
        (GONE, r"community guidelines", ""),
        (GONE, r"copyright claim|blocked it on copyright grounds", "may return"),
        (GONE, r"live ?stream recording (?:is )?(?:not|no longer) available", "may return"),
        (GONE, r"video is unavailable pending review", "may return"),
        (GONE, r"this video does not exist", ""),
        (GONE, r"this video is (?:not available|unavailable|no longer available)$S", ""),
        (GONE, r"video unavailable\s*\.?$", ""),
        (GONE, r"this video requires payment to watch", ""),
        (GONE, r"this video is drm protected", ""),
        (GONE, r"http error (?:404|410)\b", ""),
        # There, but not for this account or country.
        (NEEDS_ACCESS, r"sign in to confirm your age", ""),
        (NEEDS_ACCESS, r"age-restricted|account age-verification", ""),
        (NEEDS_ACCESS, r"members-only content|join this channel", ""),
        (NEEDS_ACCESS, r"only available to music premium members", ""),
        (NEEDS_ACCESS, r"has not made this video available in your country", ""),
        (NEEDS_ACCESS, r"not available (?:from your location|in your country)", ""),
        (NEEDS_ACCESS, r"blocked it in your country", ""),
        (NEEDS_ACCESS, r"login details are needed to download this content", ""),
        # Our own environment.
        (TOOLING, r"no supported javascript runtime", "install deno 2.3 or newer: pip install deno"),
        (TOOLING, r"n challenge solving failed|signature solving failed", SOLVER),
        (TOOLING, r"remote components .*were skipped", SOLVER),
        (TOOLING, r"no space left on device|disk quota exceeded", "make room on the disk and run again"),
        (TOOLING, r"permission denied|read-only file system", "make the folder writable"),
        (TOOLING, r"file name too long", "use a folder with a shorter path"),
        (TOOLING, r"certificate.verify.failed", "check the machine's clock and CA certificates"),
        (TOOLING, r"http error 407|407 proxy authentication|tunnel connection failed", "check the proxy"),
        (TOOLING, r"ffmpeg not found|ffmpeg is not installed", "install imageio-ffmpeg or ffmpeg"),
        (TOOLING, r"requested format is not available|no video formats found", UPGRADE),
        (TOOLING, r"require a gvs po token|missing a url", TOKEN),
        (TOOLING, r"failed to extract any player response|skipping player responses from", UPGRADE),
        (TOOLING, r"unable to extract (?:uploader id|yt initial data)|precondition check failed", UPGRADE),
        # The network or the site, for now.
        (TRANSIENT, r"timed out|timeout", ""),
        (TRANSIENT, r"incompleteread|\d+ more expected|downloaded \d+ bytes, expected \d+ bytes", ""),
        (TRANSIENT, r"content too short", ""),
        (TRANSIENT, r"did not get any data blocks|the downloaded file is empty", ""),
        (TRANSIENT, r"connection (?:reset|refused|aborted|broken)|remote end closed connection|eof occurred", ""),
        (TRANSIENT, r"failed to resolve|name resolution|name or service not known", ""),
        (TRANSIENT, r"network is unreachable|no route to host", ""),
        (TRANSIENT, r"http error 5\d\d\b|internal server error|bad gateway|service unavailable", ""),
        (TRANSIENT, r"giving up after \d+ (?:\w+ )?retries", ""),
        (TRANSIENT, r"premieres in|this live event will begin in", ""),
    )
)

# Warnings after which what was offered cannot be trusted: the session or the environment is not what it should be.
_SPOILED = re.compile(
    r"account cookies are no longer valid|challenge solving failed|signature solving failed|"
    r"no supported javascript runtime|remote components .*were skipped"
)
# Warnings that there are streams which this session does not get.
_WITHHELD = re.compile(
    r"require a gvs po token|missing a url|missing required visitor data|"
    r"failed to download \w+ (?:manifest|information)"
)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(r"^(?:error:\s*|\r|\[download\] got error:\s*)*(?:\[[\w:.+-]+\]\s+(?:\S+:\s+)?)?", re.IGNORECASE)
_HELP = re.compile(
    r"\s*(?:please report this issue on|use --cookies|you might want to use a vpn|see\s+https?://).*", re.I | re.S
)


@dataclass(frozen=True)
class Meaning:
    """What a message means.

    Attributes:
        kind: `gone`, `needs-access`, `blocked`, `tooling`, `transient` or `failed`.
        known: whether a rule knows the text; an unknown one counts as `tooling`, so that no video is blamed for it.
        hint: what to do or to expect, or empty.
    """

    kind: str
    known: bool = True
    hint: str = ""

    @property
    def vague(self) -> bool:
        """Whether the text only says that nothing was found, so that a warning before it may say why."""
        return self.kind == TOOLING and self.hint == UPGRADE


def classify(text: str) -> Meaning:
    """The meaning of one message of yt-dlp (the text of its exception, with or without its prefixes)."""
    plain = re.sub(r"\s+", " ", _COLOUR.sub("", text).replace("\u2019", "'").lower()).strip()
    for kind, pattern, hint in RULES:
        if pattern.search(plain):
            return Meaning(kind, True, hint)
    return Meaning(TOOLING, False, UPGRADE)


def spoiled(warning: str) -> bool:
    """Whether a warning says that what was offered cannot be trusted; `classify` says what it means."""
    return bool(_SPOILED.search(warning.lower()))


def withheld(warning: str) -> bool:
    """Whether a warning says that the site offers fewer streams to this session than it has."""
    return bool(_WITHHELD.search(warning.lower()))


def sentence(text: str) -> str:
    """A message without colours, yt-dlp's prefixes and its general help, in one line: what a ledger shows."""
    plain = _HELP.sub("", _PREFIX.sub("", _COLOUR.sub("", text).strip()))
    return re.sub(r"\s+", " ", plain).strip(" ;,") or re.sub(r"\s+", " ", text).strip()


_USERINFO = re.compile(r"(?<=://)[^/\s'\"]*@")
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(['\"]?\s*[:=]\s*['\"]?)[^\r\n'\"}]+")
_SECRET_KEYS = (
    r"sig|signature|lsig|sparams_sig|pot|po_token|token|access_token|auth|key|api_key|password|passwd|pwd|"
    r"secret|session|sessionid|ip|visitor_data|policy|key-pair-id|x-amz-[a-z-]+"
)
_QUERY = re.compile(rf"(?i)([?&;](?:{_SECRET_KEYS})=)[^&\s'\"<>]+")
_PATH = re.compile(r"(?i)(/(?:sig|signature|lsig|pot|ip)/)[^/\s'\"<>?]+")


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` without `secrets`, passwords and tokens in URLs, the machine's own address in media URLs, and cookies."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _USERINFO.sub("***@", text)
    text = _HEADER.sub(r"\1\2***", text)
    return _PATH.sub(r"\1***", _QUERY.sub(r"\1***", text))
