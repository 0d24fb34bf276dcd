"""Holds /point, .tif tiles and /statistics of a running server against rasterio on the COGs, and on the sources they came from.

    rasterio_reads_the_same.py BASE_URL STORE SOURCE_FOLDER

Every dataset that is not categorical is looked at; those of one input share its file. Says what it compared; exits with 1 if anything differs.
"""
import io
import json
import math
import pathlib
import random
import sys
import urllib.parse
import urllib.request

import numpy as np
import rasterio
from rasterio.features import geometry_mask
from rasterio.warp import transform, transform_geom
from rasterio.windows import Window

base, store, folder = sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
HALF = math.pi * 6378137
random.seed(7)
faults, compared = [], {"points on the COG": 0, "points on the source": 0, "tiles": 0, "polygons on the COG": 0, "polygons on the source": 0}


def get(path, body=None):
    request = urllib.request.Request(base + path, data=None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def quote(keys):
    return "/".join(urllib.parse.quote(key, safe="") for key in keys)


def mercator(lon, lat):
    return HALF * lon / 180, 6378137 * math.log(math.tan(math.pi / 4 + math.radians(lat) / 2))


def check(what, ok, said):
    compared[what] += 1
    if not ok:
        faults.append(f"{what}: {said}")


def points(keys, meta, cog, band, source, source_band):
    west, south, east, north = meta["bounds"]
    east = east + 360 if east < west else east
    data, valid = cog.read(band), cog.read_masks(band) > 0
    for _ in range(30):
        lon, lat = random.uniform(west, east), random.uniform(max(south, -85), min(north, 85))
        lon_wrapped = (lon + 180) % 360 - 180
        value = json.loads(get(f"/point/{quote(keys)}?lon={lon_wrapped!r}&lat={lat!r}"))["results"][0]["value"]
        x, y = mercator(lon, lat)
        row, col = (math.floor(v) for v in reversed(~cog.transform * (x, y)))
        there = 0 <= row < cog.height and 0 <= col < cog.width and valid[row, col] and not np.isnan(data[row, col])
        wanted = data[row, col].item() if there else None
        check("points on the COG", value == wanted, f"{keys} at {lon}, {lat}: {value}, not {wanted}")
        if value is None or source is None:
            continue
        # What the COG's pixel shows is its centre.
        cx, cy = cog.transform * (col + 0.5, row + 0.5)
        (sx,), (sy,) = transform("EPSG:3857", source.crs, [cx], [cy])
        r, c = (math.floor(v) for v in reversed(~source.transform * (sx, sy)))
        if not (1 <= r < source.height - 1 and 1 <= c < source.width - 1):
            continue
        window = Window(c - 1, r - 1, 3, 3)
        near = source.read(source_band, window=window, masked=True).compressed()
        near = near[~np.isnan(near)]
        if near.size:
            low, high = float(near.min()), float(near.max())
            ok = low - 1e-6 * abs(low) <= value <= high + 1e-6 * abs(high)
            check("points on the source", ok, f"{keys} at {lon}, {lat}: {value}, not within {low} to {high}")


def tile(keys, meta, cog, band):
    west, south, east, north = meta["bounds"]
    east = east + 360 if east < west else east
    z = meta["maxzoom"]
    n = 2**z
    x, y = mercator((west + east) / 2, max(-85, min(85, (south + north) / 2)))
    tx, ty = math.floor((x + HALF) / (2 * HALF) * n), math.floor((HALF - y) / (2 * HALF) * n)
    with rasterio.MemoryFile(get(f"/singleband/{quote(keys)}/{z}/{tx % n}/{ty}.tif")) as memory, memory.open() as got:
        left, top = -HALF + tx * 2 * HALF / n, HALF - ty * 2 * HALF / n
        col, row = (round(v) for v in ~cog.transform * (left, top))
        window = Window(col, row, 256, 256)
        wanted = cog.read(band, window=window, boundless=True, masked=True)
        mask = ~np.ma.getmaskarray(wanted) & ~np.isnan(wanted.filled(0))
        inside = np.zeros((256, 256), bool)
        inside[max(0, -row):max(0, min(256, cog.height - row)), max(0, -col):max(0, min(256, cog.width - col))] = True
        mask &= inside
        ours = got.read_masks(1) > 0
        same = np.array_equal(ours, mask) and np.array_equal(got.read(1)[mask], wanted.filled(0)[mask]) and got.dtypes[0] == cog.dtypes[0]
        check("tiles", same, f"{keys} {z}/{tx}/{ty}: values or mask differ")
        placed = got.crs == rasterio.crs.CRS.from_epsg(3857) and (tx >= n or np.allclose(got.bounds[0], left, atol=1e-3))
        check("tiles", placed and np.allclose(got.bounds[3], top, atol=1e-3), f"{keys} {z}/{tx}/{ty} lies at {got.bounds}")


def polygon(keys, meta, cog, band, source, source_band):
    west, south, east, north = meta["bounds"]
    if east < west:
        return
    south, north = max(south, -80), min(north, 80)
    at = lambda fx, fy: [west + (east - west) * fx, south + (north - south) * fy]
    shape = {"type": "Polygon", "coordinates": [[at(0.2, 0.25), at(0.8, 0.3), at(0.7, 0.8), at(0.45, 0.6), at(0.2, 0.25)]]}
    got = json.loads(get(f"/statistics/{quote(keys)}", shape))["properties"]["statistics"]
    ring = [mercator(*p) for p in shape["coordinates"][0]]
    inside = geometry_mask([{"type": "Polygon", "coordinates": [ring]}], (cog.height, cog.width), cog.transform, invert=True)
    values = cog.read(band, masked=True)
    ok = inside & ~np.ma.getmaskarray(values) & ~np.isnan(values.filled(0))
    if got["zoom"] != meta["maxzoom"] or not ok.any():
        return
    rows = np.arange(cog.height) + 0.5
    lat = 2 * np.arctan(np.exp((cog.transform.f + rows * cog.transform.e) / 6378137)) - np.pi / 2
    weights = np.broadcast_to((np.cos(lat) ** 2)[:, None], ok.shape)[ok]
    flat = values.filled(0)[ok].astype(float)
    span = max(meta["range"][1] - meta["range"][0], 1e-9)
    wanted = {"min": flat.min(), "max": flat.max(), "mean": np.average(flat, weights=weights), "count": int(ok.sum())}
    for name, value in wanted.items():
        # GDAL decides centres that lie on an edge its own way: a few pixels in many.
        slack = 3 + ok.sum() * 1e-3 if name == "count" else span * (1e-3 if name == "mean" else 0.02)
        check("polygons on the COG", abs(got[name] - value) <= slack, f"{keys} {name}: {got[name]}, not {value}")
    if source is None:
        return
    dense = []
    for a, b in zip(shape["coordinates"][0], shape["coordinates"][0][1:]):
        dense += [[a[0] + (b[0] - a[0]) * t / 50, a[1] + (b[1] - a[1]) * t / 50] for t in range(50)]
    dense.append(dense[0])
    theirs = transform_geom("EPSG:4326", source.crs, {"type": "Polygon", "coordinates": [dense]})
    inside = geometry_mask([theirs], (source.height, source.width), source.transform, invert=True)
    values = source.read(source_band, masked=True)
    ok = inside & ~np.ma.getmaskarray(values) & ~np.isnan(values.filled(0))
    if ok.sum() < 500:
        return
    flat = values.filled(0)[ok].astype(float)
    weights = np.ones(flat.size)
    if source.crs.is_geographic:
        lat = np.radians(source.transform.f + (np.arange(source.height) + 0.5) * source.transform.e)
        weights = np.broadcast_to(np.cos(lat)[:, None], ok.shape)[ok]
    elif source.crs.to_epsg() == 3857:
        lat = 2 * np.arctan(np.exp((source.transform.f + (np.arange(source.height) + 0.5) * source.transform.e) / 6378137)) - np.pi / 2
        weights = np.broadcast_to((np.cos(lat) ** 2)[:, None], ok.shape)[ok]
    mean = np.average(flat, weights=weights)
    check("polygons on the source", abs(got["mean"] - mean) <= 0.005 * span, f"{keys} mean {got['mean']}, not {mean} within 0.5 % of {span}")


for dataset in json.loads(get("/datasets?limit=1000"))["datasets"]:
    keys = list(dataset.values())
    meta = json.loads(get(f"/metadata/{quote(keys)}"))
    if meta["range"] is None or meta["categorical"]["is"]:
        continue
    known = json.loads(get("/jobs?" + urllib.parse.urlencode({"input": meta["source"]})))["decided"][0]
    paths = [d["cog"] for d in known["datasets"]]
    mine = next(d for d in known["datasets"] if d["keys"] == keys)
    band = 1 + [d["keys"] for d in known["datasets"] if d["cog"] == mine["cog"]].index(keys)
    with rasterio.open(store / mine["cog"]) as cog, rasterio.open(folder / meta["source"]) as source:
        # Longitudes beyond 180 are another way to write those that are asked for; nothing here wraps them.
        placeable = source.crs is not None and source.transform.b == 0 and not (source.crs.is_geographic and source.bounds.right > 180)
        points(keys, meta, cog, band, source if placeable else None, meta["band"]["number"])
        tile(keys, meta, cog, band)
        polygon(keys, meta, cog, band, source if placeable else None, meta["band"]["number"])
print(", ".join(f"{count} {what}" for what, count in compared.items()))
print("\n".join(faults[:40]), file=sys.stderr)
sys.exit(1 if faults else 0)
