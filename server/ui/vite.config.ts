// Builds the page into `dist`, for `kiln` to embed. While developing, what is no file of the page is asked of KILN_URL.
import { defineConfig } from 'vite';

const api = process.env.KILN_URL ?? 'http://127.0.0.1:5000';
const routes =
  '^/(ui\\.json|events|jobs|rejected|ready|collections|keys|datasets|metadata|singleband|rgb|compute|point|statistics|legend|colormap|colormaps|wmts|apidoc|swagger\\.json)';
const proxy = { [routes]: { target: api, changeOrigin: false } };

export default defineConfig({
  // The page may lie below any path: it names its own files relative to itself.
  base: './',
  build: {
    target: 'es2022',
    sourcemap: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1200,
    rollupOptions: { output: { manualChunks: { maplibre: ['maplibre-gl'] } } },
  },
  server: { proxy },
  preview: { proxy },
});
