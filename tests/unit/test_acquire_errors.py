"""What a downloader's message means: every text in circulation, with and without yt-dlp's prefixes."""

from __future__ import annotations

import pytest

from talkset.acquire.errors import classify, redact, sentence, spoiled, withheld

BLOCKED = (
    "Sign in to confirm you\u2019re not a bot",
    "Sign in to confirm you're not a bot. Use --cookies-from-browser or --cookies for the authentication",
    "This content isn't available, try again later",
    "Video unavailable. This content isn\u2019t available, try again later. The current session has been rate-limited "
    "by YouTube for up to an hour. It is recommended to use `-t sleep` to add a delay between video requests",
    "Video unavailable. This content isn't available, try again later. Your account has been rate-limited by YouTube",
    "You've hit the request limit.. Your limits will reset soon",
    "Video unavailable. YouTube is requiring a captcha challenge before playback",
    "All player responses are invalid. Your IP is likely being blocked by Youtube",
    "Unable to download webpage: HTTP Error 429: Too Many Requests (caused by <HTTPError 429: Too Many Requests>)",
    "Unable to download API page: HTTP Error 402: Payment Required",
    "unable to download video data: HTTP Error 403: Forbidden",
    "[download] Got error: HTTP Error 403: Forbidden. Giving up after 10 retries",
    "fragment 1 not found, unable to continue",
    "The provided YouTube account cookies are no longer valid. They have likely been rotated in the browser",
)
GONE = (
    "Private video. Sign in if you've been granted access to this video",
    "Private video. Sign in if you\u2019ve been granted access to this video. Use --cookies for the authentication",
    "Video unavailable. This video is private",
    "Video unavailable. This video has been removed by the uploader",
    "Video unavailable. This video is no longer available because the YouTube account associated with this video has "
    "been terminated.",
    "Video unavailable. This video is no longer available because the uploader has closed their YouTube account.",
    "This video has been removed for violating YouTube's Terms of Service",
    "This video has been removed for violating YouTube\u2019s policy on hate speech. Learn more about hate speech",
    "This video has been removed for violating YouTube's policy on harassment and bullying",
    "This video has been removed for violating YouTube's policy on violent or graphic content",
    "This video has been removed for violating YouTube's policy on nudity or sexual content",
    "This video has been removed for violating YouTube's policy on spam, deceptive practices, and scams",
    "This video has been removed for violating YouTube's Community Guidelines",
    "This video does not exist.",
    "Video unavailable. This video is not available",
    "This video is unavailable",
    "Video unavailable",
    "Video unavailable.",
    "This video requires payment to watch.",
    "This video is DRM protected",
    "Unable to download webpage: HTTP Error 404: Not Found (caused by <HTTPError 404: Not Found>)",
    "Unable to download webpage: HTTP Error 410: Gone (caused by <HTTPError 410: Gone>)",
    "Video unavailable. This video is no longer available due to a copyright claim by A Company",
    "Video unavailable. This video contains content from A Company, who has blocked it on copyright grounds",
    "This live stream recording is not available.",
    "Video is unavailable pending review",
)
NEEDS_ACCESS = (
    "Sign in to confirm your age. This video may be inappropriate for some users.",
    "This video is age-restricted; some formats may be missing without authentication",
    "YouTube is requiring account age-verification",
    "Join this channel to get access to members-only content like this video, and other exclusive perks.",
    "This video is only available to Music Premium members",
    "Video unavailable. The uploader has not made this video available in your country\n"
    "This video is available in Japan.\nYou might want to use a VPN or a proxy server (with --proxy) to workaround.",
    "This video is not available from your location due to geo restriction",
    "Video unavailable. This video contains content from A Company, who has blocked it in your country on copyright "
    "grounds",
    "Login details are needed to download this content. Use --cookies-from-browser",
)
TOOLING = (
    "No supported JavaScript runtime could be found. Only deno is enabled by default",
    "n challenge solving failed: Some formats may be missing. Ensure you have a supported JavaScript runtime",
    "Signature solving failed: Some formats may be missing",
    "Remote components challenge solver script (deno) and NPM package (deno) were skipped.",
    "Requested format is not available. Use --list-formats for a list of available formats",
    "No video formats found!",
    "ios client https formats require a GVS PO Token which was not provided. They will be skipped",
    "Some tv client https formats have been skipped as they are missing a URL. YouTube may have enabled SABR",
    "Failed to extract any player response; please report this issue on  https://github.com/yt-dlp/yt-dlp/issues",
    "Unable to extract uploader id",
    "Unable to extract yt initial data",
    "Precondition check failed.",
    "Skipping player responses from tv clients",
    "unable to write data: [Errno 28] No space left on device",
    "unable to open for writing: [Errno 13] Permission denied: 'media.mp4.part'",
    "unable to open for writing: [Errno 36] File name too long: 'x'",
    "Unable to download webpage: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
    "Unable to download webpage: Tunnel connection failed: 407 Proxy Authentication Required",
)
TRANSIENT = (
    "The read operation timed out",
    "Unable to download webpage: HTTPSConnectionPool(host='x', port=443): Read timed out.",
    "IncompleteRead(1024 bytes read, 3000 more expected)",
    "Downloaded 1024 bytes, expected 4096 bytes",
    "content too short (expected 4096 bytes and served 1024)",
    "Did not get any data blocks",
    "The downloaded file is empty",
    "[Errno 104] Connection reset by peer",
    "[Errno 111] Connection refused",
    "Unable to download webpage: HTTP Error 503: Service Unavailable",
    "Unable to download API page: HTTP Error 500: Internal Server Error",
    "[download] Got error: 1024 bytes read, 3000 more expected. Giving up after 10 retries",
    "Unable to download webpage: Failed to resolve 'x' ([Errno -3] Temporary failure in name resolution)",
    "Premieres in 3 hours",
    "This live event will begin in 2 days.",
    "unable to download video data: HTTP Error 404: Not Found",
    "[download] Got error: HTTP Error 404: Not Found. Giving up after 3 retries",
    "fragment 11 not found, unable to continue",
)
FAILED = (
    "Incomplete YouTube ID dQw4w9W. URL https://www.youtube.com/watch?v=dQw4w9W looks truncated.",
    "[youtube:truncated_url] Did you forget to quote the URL?",
)
KINDS = {
    "blocked": BLOCKED,
    "gone": GONE,
    "needs-access": NEEDS_ACCESS,
    "tooling": TOOLING,
    "transient": TRANSIENT,
    "failed": FAILED,
}
CASES = [(text, kind) for kind, texts in KINDS.items() for text in texts]


@pytest.mark.parametrize(("text", "kind"), CASES)
@pytest.mark.parametrize(
    "prefix", ["", "ERROR: ", "ERROR: [youtube] -aB3dE5gH7i: ", "\x1b[0;31mERROR:\x1b[0m [youtube] x: "]
)
def test_a_text_has_its_meaning_whatever_stands_before_it(text, kind, prefix):
    meaning = classify(prefix + text)
    assert (meaning.kind, meaning.known) == (kind, True)


def test_what_may_return_says_so():
    soft = {text for text in GONE if classify(text).hint == "may return"}
    assert {text for text in GONE if "copyright" in text or "live stream" in text or "pending" in text} == soft


@pytest.mark.parametrize("text", ["", "Something that nobody has seen", "Video unavailable in a way that is new"])
def test_an_unknown_text_blames_no_video(text):
    meaning = classify(text)
    assert (meaning.kind, meaning.known) == ("tooling", False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ERROR: [youtube] -aB3dE5gH7i: Video unavailable", "Video unavailable"),
        ("\x1b[0;31mERROR:\x1b[0m content too short (expected 2)", "content too short (expected 2)"),
        ("ERROR: \r[download] Got error: HTTP Error 404: Not Found", "HTTP Error 404: Not Found"),
        (
            "ERROR: [youtube] x: Sign in to confirm your age. Use --cookies-from-browser or --cookies. See  https://a/b",
            "Sign in to confirm your age.",
        ),
        ("a\n\tb", "a b"),
        ("ERROR:", "ERROR:"),
    ],
)
def test_a_ledger_shows_the_site_s_own_words(text, shown):
    assert sentence(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "The provided YouTube account cookies are no longer valid. They have likely been rotated",
        "[youtube] x: n challenge solving failed: Some formats may be missing.",
        "[youtube] x: Signature solving failed: Some formats may be missing.",
        "No supported JavaScript runtime could be found.",
        "Remote components challenge solver script (deno) and NPM package (deno) were skipped.",
    ],
)
def test_warnings_that_spoil_what_follows(text):
    assert spoiled(text) and not withheld(text)


def test_warnings_of_withheld_streams():
    assert withheld("Some tv client https formats have been skipped as they are missing a URL.")
    assert withheld("x: ios client https formats require a GVS PO Token which was not provided.")
    assert not withheld("Falling back on generic information extractor")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("via http://me:s3cret@proxy.example:3128/ it failed", "s3cret"),
        ("Proxy map: {'all': 'socks5h://me:pa@ss@host:1'}", "pa@ss"),
        ("https://r1.googlevideo.com/videoplayback?expire=1&ip=203.0.113.7&sig=AOq0QJ8wRQ%3D&n=x", "AOq0QJ8wRQ"),
        ("https://r1.googlevideo.com/videoplayback?expire=1&ip=203.0.113.7&sig=AOq0QJ8wRQ%3D&n=x", "203.0.113.7"),
        ("https://h/x?a=1&signature=abcdef&pot=MnQtoken", "MnQtoken"),
        ("https://h/api/manifest/hls_playlist/ip/203.0.113.7/sig/AOq0QJ/file/index.m3u8", "AOq0QJ"),
        ("send: Cookie: SID=topsecret; HSID=b", "topsecret"),
        ("{'Authorization': 'Basic bWU6cw=='}", "bWU6cw"),
        ("cookies from /home/me/my cookies.txt", "/home/me/my cookies.txt"),
    ],
)
def test_secrets_are_taken_out(text, secret):
    shown = redact(text, ("/home/me/my cookies.txt",))
    assert secret in text and secret not in shown and "***" in shown


def test_plain_text_stays_as_it_is():
    text = "https://www.youtube.com/watch?v=-aB3dE5gH7i&t=6s: 403 cookies@home, ip 10"
    assert redact(text) == text
