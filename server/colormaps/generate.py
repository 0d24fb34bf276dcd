#!/usr/bin/env python3
"""Writes colormaps.bin.zst, the table of named color maps: pip install 'matplotlib==3.9.*' cmocean zstandard.

255 samples of each map, truncated to 8 bits, names in lower case; `cloud` is Terracotta's: greys from 129 up, alpha 1.5 times as
fast. Per map: one byte of the
name's length, the name, 255 x RGBA. matplotlib's maps (its license is BSD-compatible) hold all of ColorBrewer's (Apache-2.0); cmocean's are MIT.
"""
import cmocean, numpy as np, matplotlib, zstandard

x = np.linspace(0, 1, 255)
# Names that newer releases of matplotlib add are left for a release of Kiln that says so.
newer = {"berlin", "managua", "vanimo", "okabe_ito", "grey", "grays", "gist_grey", "gist_yerg"}
maps = {n.lower(): matplotlib.colormaps[n](x) for n in matplotlib.colormaps if not n.startswith("cmo.")}
keep = {"grey", "grays", "gist_grey", "gist_yerg"}
maps = {n: v for n, v in maps.items() if n.removesuffix("_r") not in newer or (n in keep)}
for name in cmocean.cm.cmapnames:
    for suffix in ("", "_r"):
        maps.setdefault((name + suffix).lower(), matplotlib.colormaps[f"cmo.{name}{suffix}"](x))
maps = {n: (v * 255).astype("uint8") for n, v in maps.items()}
i = np.arange(255)
grey = np.where(i == 0, 0, 128 + (i + 1) // 2)
maps["cloud"] = np.column_stack([grey, grey, grey, np.minimum(255, i * 3 // 2)]).astype("uint8")
table = b"".join(bytes([len(n)]) + n.encode() + maps[n].tobytes() for n in sorted(maps))
open("colormaps.bin.zst", "wb").write(zstandard.ZstdCompressor(level=22).compress(table))
print(len(maps), "maps")
