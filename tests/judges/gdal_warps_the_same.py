"""Holds COGs against GDAL's own warp of their sources, pixel by pixel, and against rio-cogeo's idea of a valid COG.

    gdal_warps_the_same.py SOURCE COG [SOURCE COG …]

The whole of the finest level is compared, each source's bands in order. Kiln's bilinear is GDAL's where the grid is finer than the source; classes are
nearest. Wanted: the same mask but for a few pixels along edges, 99.9 % of the values within one count or 0.5 % of the range, and no shift (by phase
correlation) of a tenth of a pixel. Of a lossy COG, only the mask, and a shift of half a pixel. Exits with 1 if anything is otherwise.
"""
import subprocess
import sys

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.warp import reproject
from rio_cogeo.cogeo import cog_validate

SIDE = 512
faults = []


def check(ok, said):
    print(said)
    if not ok:
        faults.append(said)


def warped(source, band, cog, resampling):
    """Values of the source on the COG's grid, each place projected exactly, and which are valid: those whose nearest pixel is."""
    mask = np.zeros((cog.height, cog.width), "uint8")
    theirs = {"src_transform": source.transform, "src_crs": source.crs, "dst_transform": cog.transform, "dst_crs": cog.crs}
    reproject(source.read_masks(band), mask, resampling=Resampling.nearest, **theirs)
    bounds, size = [repr(edge) for edge in cog.bounds], [str(cog.width), str(cog.height)]
    # By default GDAL projects to an eighth of a pixel only, which shifts its picture by up to that.
    exactly = ["gdalwarp", "-q", "-overwrite", "-et", "0", "-r", resampling, "-t_srs", "EPSG:3857", "-te", *bounds, "-ts", *size]
    subprocess.run([*exactly, source.name, "warped.tif"], check=True)
    with rasterio.open("warped.tif") as values:
        return values.read(band).astype("float64"), mask > 0


def shift(a, b):
    """How far b lies from a, down and to the right: the slope of the phase of their cross spectrum over frequency, by least squares."""
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)[None, :]
    fa, fb = (np.fft.fft2((x - x.mean()) * window) for x in (a, b))
    cross = fa * np.conj(fb)
    # What is weak is rounding, or what a lossy compression made up: it weighs as little.
    weight, phase = np.abs(cross), np.angle(cross)
    rows, cols = (2 * np.pi * f for f in np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij"))
    products = lambda f, g: np.sum(weight * f * g)
    system = [[products(rows, rows), products(rows, cols)], [products(rows, cols), products(cols, cols)]]
    return np.linalg.solve(system, [products(rows, phase), products(cols, phase)])


def compare(name, source, cog, band, cog_band):
    lossy = str(cog.profile.get("compress", "")).lower() == "webp"
    classes = "KILN_CATEGORICAL" in cog.tags() or source.colorinterp[0] == ColorInterp.palette
    values, valid = warped(source, band, cog, "near" if classes else "bilinear")
    ours, mask = cog.read(cog_band).astype("float64"), cog.read_masks(cog_band) > 0
    if cog.dtypes[0].startswith("float"):
        mask &= ~np.isnan(ours)
        valid &= ~np.isnan(values)
    other = np.count_nonzero(mask != valid)
    check(other <= 2e-4 * mask.size, f"{name} band {band}: {other} of {mask.size} pixels differ in validity")
    both = mask & valid
    span = ours[both].max() - ours[both].min()
    near = np.abs(ours - values) <= max(1.0 if not cog.dtypes[0].startswith("float") else 0.0, 0.005 * span)
    share = near[both].mean()
    check(lossy or share >= 0.999, f"{name} band {band}: {share:.6f} of the values within one count or 0.5 % of {span:g}")
    rows, cols = np.where(both)
    top, left = int(np.median(rows)) - SIDE // 2, int(np.median(cols)) - SIDE // 2
    a, b = (x[top : top + SIDE, left : left + SIDE] for x in (np.where(both, values, 0), np.where(both, ours, 0)))
    if classes or a.shape != (SIDE, SIDE) or a.std() == 0:
        return
    down, right = shift(a, b)
    check(max(abs(down), abs(right)) < (0.5 if lossy else 0.1), f"{name} band {band}: lies {down:.4f} pixels below and {right:.4f} to the right")


for path, cog_path in zip(sys.argv[1::2], sys.argv[2::2]):
    name = path.rsplit("/", 1)[-1]
    valid, errors, warnings = cog_validate(cog_path)
    check(valid and not errors, f"{name}: rio-cogeo finds errors {errors}, warnings {warnings}")
    with rasterio.open(path) as source, rasterio.open(cog_path) as cog:
        for band in range(1, min(source.count, 3) + 1):
            compare(name, source, cog, band, band)
print("\n".join(faults), file=sys.stderr)
sys.exit(1 if faults else 0)
