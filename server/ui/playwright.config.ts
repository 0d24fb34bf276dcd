// Runs the page in a real browser against a running `kiln serve`: KILN_URL, KILN_DROP (its plain folder), CHROMIUM (default Debian's).
import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'tests',
  globalTeardown: './tests/teardown.ts',
  // One server and software rendering: side by side they only wait for each other.
  workers: 1,
  timeout: 180_000,
  expect: { timeout: 30_000 },
  reporter: [['list']],
  outputDir: process.env.KILN_RESULTS ?? 'test-results',
  use: {
    baseURL: `${(process.env.KILN_URL ?? 'http://127.0.0.1:5000').replace(/\/$/, '')}/`,
    viewport: { width: 1280, height: 800 },
    contextOptions: { reducedMotion: 'reduce' },
    permissions: ['clipboard-read', 'clipboard-write'],
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'],
    },
  },
});
