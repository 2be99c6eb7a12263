"""Build the bundled demo from end to end: render its sources, make tiny models, serve, run the workflow, tell the ends.

The workflow is the ordinary one (`snakemake --configfile config/demo.yaml`); only the web site is replaced by a server
of our own, which yt-dlp reaches through `http_proxy`, so that the lists name no port.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from talkset.demo import models, render, server

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = Path("resources/demo")
RESULTS = Path("results/demo")


def main(arguments: list[str]) -> int:
    """Run the demo in the current folder; `arguments` go to Snakemake. Returns its exit status."""
    render.render(SOURCES)
    models.make(SOURCES / "models")
    # Jobs this small are imports for the most part, by one thread whatever a rule asks for.
    cores = 2 * (os.cpu_count() or 1)
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
        *("--configfile", str(REPOSITORY / "config" / "demo.yaml"), "--cores", str(cores), "--quiet", "rules"),
        *arguments,
    ]
    with server.serve(SOURCES) as url:
        # no_proxy may exempt every host on this machine; the demo's host exists nowhere but behind our server.
        environment = {**os.environ, "http_proxy": url, "no_proxy": "", "NO_PROXY": ""}
        environment.pop("HTTP_PROXY", None)
        running = subprocess.Popen(command, env=environment)
        # Ctrl-C reaches Snakemake too: it ends its jobs in order, and the server must stay until then.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: running.terminate())
        status = running.wait()
    if status == 0:
        print((RESULTS / "summary.txt").read_text(encoding="utf-8"))
        print(f"picture of the crops   {RESULTS / 'contact_sheet.jpg'}")
        print(f"every clip's end       {RESULTS / 'manifest.tsv'}")
        print(f"loose mp4 and wav      {RESULTS / 'export' / 'hdtf'}")
        print(f"features               {RESULTS / 'features'}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
