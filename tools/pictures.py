"""The pictures of README.md, docs/guide.md and docs/gallery.md: python -m tools.pictures [RUNS]

docs/pictures/gallery-*.png are first screens of reports of kept runs, on a desk and on a phone, light and dark. With RUNS, the finished runs
of docs/guide.md, own-data.svg is what a terminal shows at the end of its run. Needs the extra `browser` and Chromium.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from tools.results_page.__main__ import REPORT
from tools.results_page.kept import STUDIES

from benchmarks.rounds import ROOT
from polyprefix.report.grid import read_grid
from polyprefix.report.page import write_page
from polyprefix.report.run import view_of
from polyprefix.report.summary import render_summary

OUT = ROOT / "docs" / "pictures"
SCREENS = {"desk": (1280, 800), "phone": (390, 844)}
"""Width and height, in CSS pixels."""
COLOURS = 128
"""Of a picture's palette: enough for text and charts, and a third of the bytes."""
PIXELS = """async screenshot => {
  const image = new Image();
  image.src = 'data:image/png;base64,' + screenshot;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const bytes = context.getImageData(0, 0, image.width, image.height).data;
  let text = '';
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return {width: image.width, height: image.height, pixels: btoa(text)};
}"""
"""Has the browser decode a PNG: width, height and RGBA."""
COLUMNS = 90
COMMAND = "polyprefix run --task examples/things --model gemma-3-270m --method lora"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SMALL = STUDIES / "results" / "small"
ONE_RUN = [SMALL / f"sib200-{name}" for name in ("lora-gemma-3-270m-s0-3c220e63", "none-gemma-3-270m-s0-6e3b3d03")]
REPORTS: dict[str, list[Path]] = {"run": ONE_RUN, "transfer": [STUDIES / "results" / "transfer"]}
"""Report of the gallery -> the kept runs that it is about; that of the methods is kept as a page."""


@contextmanager
def pages() -> Iterator[dict[str, Path]]:
    """The reports of the gallery, as files."""
    with tempfile.TemporaryDirectory() as folder:
        found = {"methods": REPORT}
        for name, runs in REPORTS.items():
            found[name] = Path(folder) / f"{name}.html"
            write_page(read_grid(runs), found[name], texts=False)
        yield found


def compressed(browser: Any, screenshot: bytes) -> bytes:
    """A screenshot as a PNG with a palette: the most frequent colours, and the nearest of these for all others."""
    page = browser.new_page()
    encoded = page.evaluate(PIXELS, base64.b64encode(screenshot).decode())
    page.close()
    width, height = encoded["width"], encoded["height"]
    pixels = np.frombuffer(base64.b64decode(encoded["pixels"]), np.uint8).reshape(-1, 4)[:, :3]
    found, where, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    palette = found[np.argsort(-counts, kind="stable")[:COLOURS]]
    distance = ((found[:, None].astype(int) - palette[None]) ** 2).sum(axis=-1)
    rows = distance.argmin(axis=1).astype(np.uint8)[where.reshape(-1)].reshape(height, width)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def screenshots() -> None:
    """The first screen of every report of the gallery."""
    from playwright.sync_api import sync_playwright

    with pages() as reports, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for screen, (width, height) in SCREENS.items():
            for scheme in SCHEMES:
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                for name, path in reports.items():
                    page = context.new_page()
                    page.goto(path.as_uri())
                    picture = compressed(browser, page.screenshot())
                    (OUT / f"gallery-{name}-{screen}-{scheme}.png").write_bytes(picture)
                    page.close()
                context.close()
        browser.close()


def terminal(runs: Path) -> None:
    """What a run prints at its end."""
    grid = read_grid([runs])
    (trained,) = (cell.runs.index[0] for cell in grid.cells if cell.trained)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console: Any = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        render_summary(view_of(grid, trained), console, Path("runs"))
        console.save_svg(str(OUT / "own-data.svg"), title=COMMAND)


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="?", metavar="RUNS")
    given = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    screenshots()
    if given.runs:
        terminal(given.runs)


if __name__ == "__main__":
    main()
