"""Reads a server's WMTS and its {z}/{x}/{y} tiles with GDAL's own drivers and holds the pixels against the COG.

    gdal_reads_the_services.py BASE_URL STORE KEYS COG WORK_FOLDER

The dataset KEYS is of 8 bits, 0 being nodata; under stretch_range=[0,254] a pixel of value v is shown as v + 1.
"""
import pathlib
import subprocess
import sys

import numpy as np
import rasterio

base, store, keys, path, work = sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4], pathlib.Path(sys.argv[5])
HALF = 20037508.342789244

with rasterio.open(store / path) as cog:
    # The middle of the COG, two blocks wide.
    size = min(512, cog.width, cog.height)
    col, row = (cog.width - size) // 2, (cog.height - size) // 2
    wanted = cog.read(1, window=rasterio.windows.Window(col, row, size, size))
    left, top = cog.transform * (col, row)
    right, bottom = cog.transform * (col + size, row + size)
    zoom = round(np.log2(2 * HALF / 256 / cog.transform.a))

tms = work / "tiles.xml"
tms.write_text(
    f"""<GDAL_WMS><Service name="TMS"><ServerUrl>{base}/singleband/{keys}/${{z}}/${{x}}/${{y}}.png?stretch_range=[0,254]</ServerUrl></Service>
<DataWindow><UpperLeftX>-{HALF}</UpperLeftX><UpperLeftY>{HALF}</UpperLeftY><LowerRightX>{HALF}</LowerRightX><LowerRightY>-{HALF}</LowerRightY>
<TileLevel>{zoom}</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY><YOrigin>top</YOrigin></DataWindow>
<Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>1</BandsCount></GDAL_WMS>"""
)
sources = {
    "WMTS by its capabilities": f"WMTS:{base}/wmts?SERVICE=WMTS&REQUEST=GetCapabilities&stretch_range=[0%2C254],layer={keys},tilematrix={zoom}",
    "TMS": str(tms),
}
failed = False
for name, source in sources.items():
    out = work / "window.tif"
    # The extent of a layer need not begin with a pixel; that of the grid does.
    options = ["-oo", "EXTENT_METHOD=TILE_MATRIX_SET"] if name.startswith("WMTS") else []
    corners = [str(v) for v in (left, top, right, bottom)]
    command = ["gdal_translate", "-q", *options, "-projwin", *corners, "-projwin_srs", "EPSG:3857", "-outsize", str(size), str(size), source, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr}", file=sys.stderr)
        failed = True
        continue
    with rasterio.open(out) as got:
        shown = got.read(1).astype(int)
    # GDAL's driver does not heed the transparent value of a grey PNG, which is 0.
    visible = shown > 0
    same = np.array_equal(visible, wanted > 0) and np.array_equal(shown[visible], wanted[visible].astype(int) + 1) and visible.any()
    print(f"{name}: {shown.shape[0]}² pixels, {'the same as the COG' if same else 'other than the COG'}")
    failed |= not same
sys.exit(1 if failed else 0)
