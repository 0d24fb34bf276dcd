// Starts Terracotta's own client against a server and looks whether its page lists the datasets and asks for a picture.
//
//     node terracotta_client_lists_datasets.mjs TERRACOTTA_PROGRAM BASE_URL KEY_VALUE SCREENSHOT.png
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { chromium } from "playwright-core";

const [program, base, value, screenshot] = process.argv.slice(2);
const free = await new Promise(resolve => {
  const server = createServer().listen(0, "127.0.0.1", () => { const { port } = server.address(); server.close(() => resolve(port)); });
});
const client = spawn(program, ["connect", "--no-browser", "--port", String(free), base], { stdio: ["ignore", "pipe", "pipe"] });
let said = "";
client.stdout.on("data", text => (said += text));
client.stderr.on("data", text => (said += text));
let ended = false;
client.on("exit", () => (ended = true));
const fail = message => { client.kill(); console.error(message, said); process.exit(1); };
const deadline = Date.now() + 30000;
const url = `http://127.0.0.1:${free}/`;
while (!(await fetch(url).then(answer => answer.ok, () => false))) {
  if (ended || Date.now() > deadline) fail("the client did not start");
  await new Promise(resolve => setTimeout(resolve, 100));
}
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
const asked = [];
page.on("response", answer => answer.url().startsWith(base) && asked.push(`${answer.status()} ${answer.url().slice(base.length)}`));
await page.goto(url);
const listed = page.getByText(value, { exact: true }).first();
await listed.waitFor({ timeout: 20000 }).catch(() => fail(`the page does not list ${value}: ${asked.join(" ")}`));
const pictured = page.waitForResponse(answer => answer.url().includes("/singleband/") && answer.status() === 200, { timeout: 20000 });
await listed.click();
await pictured.catch(() => fail(`no picture was asked for: ${asked.join("\n")}`));
await page.screenshot({ path: screenshot });
await browser.close();
client.kill();
const bad = asked.filter(line => !/^(200|304) /.test(line));
console.log(`${asked.length} answers, ${bad.length} of them not a success`);
process.exit(bad.length === 0 ? 0 : 1);
