"""One source video from its site: all of it, or a record that says why not. yt-dlp does the talking."""

from __future__ import annotations

import datetime
import errno
import io
import os
import re
import shutil
import sys
import time
import traceback
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from talkset import files, progress
from talkset.acquire import errors, formats
from talkset.acquire.lane import Lane
from talkset.acquire.probe import Media, Unreadable, probe
from talkset.faults import ClipFault, ToolFault
from talkset.ffmpeg import ffmpeg_executable

YOUTUBE = re.compile(r"(?:.+\.)?(?:youtube\.com|youtube-nocookie\.com|youtu\.be)")
PROXY = re.compile(r"(?:https?|socks4a?|socks5h?)://[^@/\s]+/?")

# The site states lengths in whole seconds, and picture and sound differ by some frames.
DURATION_TOLERANCE = 2.0
LONGEST_PAUSE = 120.0
PROGRESS_EVERY = 10.0
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
LEAST_SPACE = 1 << 20  # bytes; with fewer left a failure is put down to the disk

RECORD = (
    "video",  # source id
    "url",  # its address, without passwords
    "status",  # ok, gone, needs-access or failed
    "reason",  # the site's own text, or what is wrong with the file; empty if ok
    "format_id",  # the site's name of the stream(s) taken
    "height",  # of the file, pixels
    "width",
    "fps",  # average, exact, as text
    "vcodec",
    "acodec",
    "bytes",
    "sha256",
    "tool",  # what fetched it, with version
    "wanted_height",  # pixels; null = the best
    "note",  # what was not as asked for
    "checked",  # date, UTC
)


class _Failure(Exception):
    """An attempt that failed: its text, without secrets, and what it means."""

    def __init__(self, text: str, meaning: errors.Meaning):
        super().__init__(text)
        self.text = text
        self.meaning = meaning


@dataclass(frozen=True)
class _Task:
    """One video and all that is needed to ask for it, checked before the site hears of it."""

    video: str
    url: str
    height: int | None
    media: Path
    settings: Mapping
    tool: str
    proxy: str | None
    runtimes: dict
    cookies: str | None
    secrets: tuple[str, ...]

    def redact(self, text: str) -> str:
        return errors.redact(text, self.secrets)


def download(
    video: str,
    url: str,
    height: int | None,
    media: Path,
    settings: Mapping,
    lane: Lane,
    sleep: Callable[[float], None] = time.sleep,
) -> dict:
    """Fetch one video, or find out why it cannot be had.

    Args:
        video: its id, file-name safe.
        url: its address, from a list that nobody vouches for.
        height: the exact height wanted in pixels, `None` for the best.
        media: where the file goes; appears whole, or empty if the video cannot be had.
        settings: `max_height`, `retries`, `attempts`, `backoff`, `timeout`, `request_interval`, `rate_limit`, `proxy`,
            `cookies` and `accept_failures` of the section `download` of the configuration.
        lane: the folder's lane; a refusal of the session brings it to rest.
        sleep: waits for a number of seconds between attempts.

    Returns:
        The record, with the keys of `RECORD`.

    Raises:
        LaneBlocked: the site refuses this session; neither file nor record is written.
        ToolFault: the environment is wrong, the site could not be reached after all attempts, or its answer is one that
            nobody has met before; neither file nor record is written.
    """
    from yt_dlp.version import __version__

    tool = f"yt-dlp {__version__}"
    media.parent.mkdir(parents=True, exist_ok=True)
    try:
        _require_address(url)
        cookies = _cookies(settings["cookies"])
        task = _Task(
            video=video,
            url=url,
            height=height,
            media=media,
            settings=settings,
            tool=tool,
            proxy=_proxy(settings["proxy"]),
            runtimes=_runtimes(url),
            cookies=cookies,
            secrets=_secrets(settings["cookies"], cookies),
        )
        for attempt in range(1, settings["attempts"] + 1):
            lane.turn(video)
            try:
                return _attempt(task, lane)
            except _Failure as failure:
                _settle(task, lane, failure, attempt)
            pause = _pause(settings["backoff"], attempt + 2)
            progress.say(f"{video}: attempt {attempt} of {settings['attempts']} failed; next in {pause:.0f} s")
            sleep(pause)
    except ClipFault as fault:
        with files.whole(media) as partial:
            partial.touch()
        return record(video, url, height, tool, status=fault.status, reason=fault.reason)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise ToolFault(_disk_full(media)) from None
        raise
    raise AssertionError("attempts ended without a decision")


def record(video: str, url: str, wanted_height: int | None, tool: str, **values) -> dict:
    """A record with every key of `RECORD`; those not given are `None`, `reason` and `note` are empty."""
    given = {
        "video": video,
        "url": errors.redact(url),
        "reason": "",
        "note": "",
        "tool": tool,
        "wanted_height": wanted_height,
        "checked": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **values,
    }
    return {key: given.get(key) for key in RECORD}


def describe(path: Path, found: Media) -> dict:
    """The part of a record that describes the file."""
    return {
        "height": found.height,
        "width": found.width,
        "fps": found.fps and str(found.fps),
        "vcodec": found.vcodec,
        "acodec": found.acodec,
        "bytes": path.stat().st_size,
        "sha256": files.sha256(path),
    }


def _require_address(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and not re.search(r"[\s\x00-\x1f\x7f]", url)
    except ValueError:
        usable = False
    if not usable:
        raise ClipFault(
            f"the list's address {errors.redact(url)[:200]!r} is not one that begins with http:// or https://"
        )


def _proxy(given: str | None) -> str | None:
    """The proxy for yt-dlp; `None` leaves it to the environment (http_proxy, https_proxy, no_proxy)."""
    if given and not PROXY.fullmatch(given):
        raise ToolFault(
            f"download: proxy: {errors.redact(given)!r} is not scheme://host:port; where it needs "
            "a password, set the variables http_proxy and https_proxy instead: the configuration is kept in records"
        )
    return given or None


def _runtimes(url: str) -> dict:
    """yt-dlp's `js_runtimes`, checked where the site needs one."""
    if not YOUTUBE.fullmatch(urllib.parse.urlsplit(url).hostname or ""):
        return {}
    from yt_dlp.utils._jsruntime import DenoJsRuntime

    beside = Path(sys.executable).parent / "deno"  # where pip puts it; not always in PATH
    path = str(beside) if os.access(beside, os.X_OK) else shutil.which("deno")
    info = DenoJsRuntime(path).info if path else None
    found = f"deno {info.version} is too old" if info else "there is no working deno"
    if not info or not info.supported:
        raise ToolFault(f"YouTube needs a JavaScript runtime and {found}: pip install 'deno>=2.3'")
    try:
        import yt_dlp_ejs  # noqa: F401
    except ImportError:
        raise ToolFault("YouTube needs the solver scripts yt-dlp-ejs: pip install 'yt-dlp[default]'") from None
    return {"deno": {"path": path}}


def _cookies(given: str | None) -> str | None:
    """The text of the user's cookie file. yt-dlp gets it from memory: it rewrites files, and jobs must not share one.

    Entries are checked here because yt-dlp prints those that it does not understand.
    """
    if not given:
        return None
    try:
        text = Path(given).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ToolFault(f"download: cookies: {given!r} cannot be read ({reason})") from None
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.removeprefix("#HttpOnly_")
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != 7 or not re.fullmatch(r"(?:[0-9]+(?:\.[0-9]+)?)?", fields[4]):
            raise ToolFault(f"download: cookies: line {number} of {given!r} is not an entry of a Netscape cookie file")
    return text


def _secrets(path: str | None, cookies: str | None) -> tuple[str, ...]:
    """Texts that must not reach logs, records or errors: the cookies and the passwords of the environment's proxies."""
    found = [path or ""]
    for line in (cookies or "").splitlines():
        found.append(line.rpartition("\t")[2])
    for proxy in urllib.request.getproxies().values():
        userinfo = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}").netloc.rpartition("@")[0]
        found += [userinfo, urllib.parse.unquote(userinfo), userinfo.partition(":")[2]]
    return tuple({text for text in found if len(text) >= 6})


def _settle(task: _Task, lane: Lane, failure: _Failure, attempt: int) -> None:
    """Decide what a failed attempt means; return only if there is to be another one."""
    text, meaning = failure.text, failure.meaning
    said = errors.sentence(text)
    if meaning.kind == errors.BLOCKED:
        raise lane.block(said + (f"; {meaning.hint}" if meaning.hint else ""), task.video) from None
    if meaning.kind in (errors.GONE, errors.NEEDS_ACCESS, errors.FAILED):
        raise ClipFault(said + (f" ({meaning.hint})" if meaning.hint else ""), status=meaning.kind) from None
    if re.search(r"no space left|disk quota exceeded", text, re.IGNORECASE):
        raise ToolFault(_disk_full(task.media)) from None
    if meaning.kind == errors.TRANSIENT:
        if attempt < task.settings["attempts"]:
            return
        sentence = f"{said} (still so after {attempt} attempts)"
        ending = "this passes: the same command tries again"
    elif meaning.known:
        raise ToolFault(f"{task.video}: {task.tool} cannot work: {said}; {meaning.hint}") from None
    else:
        sentence = f"unknown message: {said}"
        ending = f"it says nothing certain about the video, so that stays untried; {meaning.hint}"
    if task.settings["accept_failures"]:
        raise ClipFault(sentence) from None
    raise ToolFault(f"{task.video}: {task.tool}: {sentence}; {ending}, or set download: accept_failures") from None


def _attempt(task: _Task, lane: Lane) -> dict:
    """Fetch once, into a folder of its own beside the target, and put the file in its place.

    Raises:
        _Failure: with the site's or the file's own text.
        ClipFault: the address leads to something that is not one video of fixed content.
    """
    folder = task.media.absolute().with_name(f".{task.media.stem}.download")
    if os.path.expandvars(folder) != str(folder):
        raise ToolFault(f"yt-dlp would read a variable in the path {str(folder)!r}: use a folder without $")
    shutil.rmtree(folder, ignore_errors=True)  # a killed job's leftover
    folder.mkdir(mode=0o700)
    try:
        path, format_id, note, seconds = _fetch(task, _options(task, folder, lane))
        found = _require_whole(path, seconds)
        with open(path, "rb") as handle:  # reach the disk before the name says it is done
            os.fsync(handle.fileno())
        values = describe(path, found)
        os.replace(path, task.media)
        progress.say(f"{task.video}: {values['bytes'] / 1e6:.1f} MB, {found.height} lines ({format_id})")
        values.update(status="ok", format_id=format_id, note=note)
        return record(task.video, task.url, task.height, task.tool, **values)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_whole(path: Path, seconds: float | None) -> Media:
    """What the fetched file holds; `seconds`: the length that the site states."""
    try:
        found = probe(path)
    except Unreadable as error:
        raise _Failure(f"the fetched file is of no use: {error}", errors.Meaning(errors.TRANSIENT)) from None
    fault = found.fault
    if not fault and seconds and found.duration < seconds - DURATION_TOLERANCE:
        fault = f"{found.duration:.1f} s of the {seconds:.1f} s that the site states"
    if fault:
        raise _Failure(f"the fetched file is not whole: {fault}", errors.Meaning(errors.TRANSIENT))
    return found


def _options(task: _Task, folder: Path, lane: Lane) -> dict:
    """yt-dlp's options. Through its API it reads no configuration files of the user's."""
    settings = task.settings
    kinds = ("http", "fragment", "file_access", "extractor")
    options = {
        "paths": {"home": str(folder)},
        "outtmpl": {"default": "media.%(ext)s"},
        "cachedir": str(lane.folder.absolute() / "cache"),
        "merge_output_format": "mp4",
        # Else ffmpeg moves each stream to begin at zero, and sound that began later than the picture loses its place.
        "postprocessor_args": {"merger+ffmpeg_o": ["-copyts"]},
        "ffmpeg_location": ffmpeg_executable(),
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "playlist_items": "1:2",  # enough to see that there are several
        "skip_unavailable_fragments": False,
        "external_downloader": {"default": "native"},
        "retries": settings["retries"],
        "fragment_retries": settings["retries"],
        "extractor_retries": settings["retries"],
        "file_access_retries": settings["retries"],
        "retry_sleep_functions": dict.fromkeys(kinds, lambda n: _pause(settings["backoff"], n)),
        "socket_timeout": settings["timeout"],
        "sleep_interval_requests": settings["request_interval"],
        "js_runtimes": task.runtimes,
        "noprogress": True,
        "updatetime": False,
        "color": "never",
        "verbose": True,  # says which clients answered and which formats were left out
    }
    if task.proxy:
        options["proxy"] = task.proxy
    if settings["rate_limit"]:
        options["ratelimit"] = settings["rate_limit"]
    if task.cookies is not None:
        options["cookiefile"] = io.StringIO(task.cookies)
    return options


def _fetch(task: _Task, options: dict) -> tuple[Path, str, str, float | None]:
    """Ask the site, choose and download: file, format id, note, stated length in seconds."""
    import yt_dlp

    log = _Log(task.redact)
    chosen: list[formats.Choice] = []

    def select(context: dict) -> list[dict]:
        choice = formats.choose(context["formats"], task.height, task.settings["max_height"])
        chosen.append(choice)
        by_id = {one["format_id"]: one for one in context["formats"]}
        taken = [by_id[name] for name in (choice.picture, choice.sound) if name]
        # yt-dlp's own selector joins the two; no id (the site's text) becomes part of its language.
        build = client.build_format_selector("bestvideo+bestaudio" if choice.sound else "best*")
        return list(build({"formats": taken, "has_merged_format": False, "incomplete_formats": False}))

    options = {**options, "logger": log, "format": select, "progress_hooks": [_Progress(task.video)]}
    try:
        with yt_dlp.YoutubeDL(options, auto_init="no_verbose_header") as client:
            info = client.extract_info(task.url, download=False)
            log.require_trust()
            _require_one_video(info)
            choice = chosen[-1]
            if choice.reduced and log.withheld:
                raise _withheld(f"left is {info['format_id']} with {choice.height} lines", log)
            note = "; ".join(filter(None, (choice.note, log.withheld and f"streams withheld: {log.withheld}")))
            progress.say(f"{task.video}: fetching {info['format_id']}" + (f" ({note})" if note else ""))
            client.process_info(info)
    except formats.NoStream as error:
        log.require_trust()
        if log.withheld:
            raise _withheld(str(error), log) from None
        raise log.failure(str(error)) from None
    except (yt_dlp.utils.YoutubeDLError, OSError) as error:
        # ffmpeg's text need not say it.
        if _errno(error) in NO_SPACE or shutil.disk_usage(task.media.parent).free < LEAST_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        log.require_trust()
        raise log.failure(task.redact(str(error))) from None
    except (_Failure, ClipFault, ToolFault):
        raise
    except Exception as error:
        log.error(traceback.format_exc())  # here, because the trace that others print may show secrets
        text = task.redact(f"{type(error).__name__}: {error}")
        raise ToolFault(f"{task.video}: {task.tool} broke off with {text}") from None
    path = Path(info.get("filepath") or "")
    if not path.is_file():
        raise _Failure("yt-dlp ended without a file", errors.Meaning(errors.TRANSIENT))
    return path, str(info["format_id"]), note, info.get("duration")


def _withheld(text: str, log: _Log) -> _Failure:
    """The site keeps streams from this session, and what is left is not what was asked for."""
    return _Failure(f"{log.withheld}; {text}", errors.Meaning(errors.TOOLING, hint=errors.TOKEN))


def _require_one_video(info: dict | None) -> None:
    if info is None:
        raise _Failure("yt-dlp found nothing at the address", errors.Meaning(errors.TOOLING, known=False))
    if info.get("_type", "video") != "video":
        raise ClipFault("the address leads to a list of videos, not to one")
    if info.get("live_status") in ("is_live", "post_live", "is_upcoming") or info.get("is_live"):
        raise ClipFault("the address leads to a live stream, whose content is not fixed")


def _errno(error: BaseException | None) -> int | None:
    """The number of the system's error that an exception came from."""
    while error is not None:
        inner = getattr(error, "exc_info", None)
        number = getattr(error, "errno", None) or (getattr(inner[1], "errno", None) if inner else None)
        if number:
            return number
        error = error.__cause__ or error.__context__
    return None


def _disk_full(media: Path) -> str:
    free = shutil.disk_usage(media.parent).free / 1e6
    return f"the disk is full: {media.parent} has {free:.0f} MB left; make room and run the same command again"


def _pause(first: float, n: int) -> float:
    """Seconds before the try after the n-th one (from 0): doubled each time, up to `LONGEST_PAUSE`."""
    return min(LONGEST_PAUSE, first * 2 ** min(n, 20))


class _Log:
    """yt-dlp's messages: to the job's log, without secrets, and what matters later is kept.

    Attributes:
        warnings: in the order they came.
        withheld: the first that says that there are streams which this session does not get, or empty.
        spoiled: the first after which what was offered cannot be trusted, or empty.
    """

    def __init__(self, redact: Callable[[str], str]):
        self.redact = redact
        self.warnings: list[str] = []
        self.withheld = ""
        self.spoiled = ""

    def debug(self, text: str) -> None:
        print(self.redact(text), file=sys.stderr, flush=True)

    error = debug

    def warning(self, text: str) -> None:
        text = self.redact(text)
        print(f"WARNING: {text}", file=sys.stderr, flush=True)
        if "will be delegated to" in text:
            # ffmpeg leaves out what it cannot get, and prints addresses.
            raise _Failure(f"this kind of stream cannot be fetched surely whole ({text})", errors.classify(""))
        self.warnings.append(text)
        if errors.withheld(text):
            self.withheld = self.withheld or errors.sentence(text)
        if errors.spoiled(text):
            self.spoiled = self.spoiled or text

    def require_trust(self) -> None:
        """Raise what a warning said about the session or the environment: all that follows is not to be trusted."""
        if self.spoiled:
            raise _Failure(self.spoiled, errors.classify(self.spoiled))

    def failure(self, text: str) -> _Failure:
        """What an error means; a refusal or a network fault is often but a warning before "nothing found"."""
        meaning = errors.classify(text)
        if meaning.vague:
            causes = [(warning, errors.classify(warning)) for warning in self.warnings]
            for kind in (errors.BLOCKED, errors.TRANSIENT):
                for warning, cause in causes:
                    if cause.kind == kind:
                        return _Failure(f"{errors.sentence(text)} ({errors.sentence(warning)})", cause)
        return _Failure(text, meaning)


class _Progress:
    """A line of progress at most every `PROGRESS_EVERY` seconds."""

    def __init__(self, video: str):
        self.video = video
        self.said = time.monotonic()

    def __call__(self, state: dict) -> None:
        now = time.monotonic()
        if state.get("status") != "downloading" or now - self.said < PROGRESS_EVERY:
            return
        self.said = now
        total = state.get("total_bytes") or state.get("total_bytes_estimate")
        done = state.get("downloaded_bytes") or 0
        parts = [f"{100 * done / total:.0f} % of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"]
        if state.get("speed"):
            parts.append(f"{state['speed'] / 1e6:.1f} MB/s")
        if state.get("eta") is not None:
            parts.append(f"{state['eta']:.0f} s left")
        progress.say(f"{self.video}: {', '.join(parts)}")
