// Draws a TileJSON with MapLibre in headless Chromium and says what share of the map is painted.
//
//     node maplibre_draws_tilejson.mjs TILEJSON_URL SCREENSHOT.png
import { createServer } from "node:http";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [tilejson, screenshot] = process.argv.slice(2);
const require = createRequire(import.meta.url);
// A page of another origin than the tiles': they are asked for across sites, as on any real map.
const page_server = createServer((_, response) => response.end("<!doctype html><body style='margin:0'><div id=map style='width:512px;height:512px;background:white'>")).listen(0);
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"] });
const page = await browser.newPage({ viewport: { width: 512, height: 512 } });
const errors = [];
page.on("pageerror", error => errors.push(String(error)));
page.on("console", message => message.type() === "error" && errors.push(message.text()));
await page.goto(`http://127.0.0.1:${page_server.address().port}/`);
await page.addScriptTag({ path: require.resolve("maplibre-gl/dist/maplibre-gl.js") });
const drawn = await page.evaluate(async url => {
  const { bounds } = await (await fetch(url)).json();
  const map = new maplibregl.Map({
    container: "map",
    bounds: [[bounds[0], bounds[1]], [bounds[2], bounds[3]]],
    canvasContextAttributes: { preserveDrawingBuffer: true },
    fadeDuration: 0,
    style: { version: 8, sources: { kiln: { type: "raster", url, tileSize: 256 } }, layers: [{ id: "kiln", type: "raster", source: "kiln", paint: { "raster-fade-duration": 0 } }] },
  });
  await new Promise((resolve, reject) => { map.once("idle", resolve); map.on("error", event => reject(new Error(event.error?.message))); });
  const gl = map.getCanvas().getContext("webgl2");
  const [width, height] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
  const pixels = new Uint8Array(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  let painted = 0;
  const colors = new Set();
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] > 0) { painted++; colors.add((pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2]); }
  return { painted: painted / (width * height), colors: colors.size };
}, tilejson);
await page.screenshot({ path: screenshot });
await browser.close();
page_server.close();
console.log(JSON.stringify({ ...drawn, errors }));
process.exit(drawn.painted > 0.2 && drawn.colors > 10 && errors.length === 0 ? 0 : 1);
