// The demo page in headless Chromium: node tests/browser/demo.cjs FOLDER PICTURES
// FOLDER is what `python -m lib.deploy demo` wrote. No request may go to another host, and the classes that the page
// reads at a good SNR must be mostly right.
const { chromium } = require("playwright-core");
const { createServer } = require("node:http");
const { readFileSync, mkdirSync, writeFileSync } = require("node:fs");
const path = require("node:path");
const assert = require("node:assert");

const [folder, pictures] = process.argv.slice(2);
const kinds = { ".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm" };
mkdirSync(pictures, { recursive: true });

(async () => {
  const server = createServer((request, response) => {  // as python -m http.server does
    const name = request.url === "/" ? "index.html" : path.basename(request.url);
    try {
      const content = readFileSync(path.join(folder, name));
      response.writeHead(200, { "Content-Type": kinds[path.extname(name)] || "application/octet-stream" }).end(content);
    } catch { response.writeHead(404).end(); }
  }).listen(0, "127.0.0.1");
  await new Promise(resolve => server.once("listening", resolve));
  const home = `http://127.0.0.1:${server.address().port}`;
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
                                          args: ["--no-sandbox"] });
  const page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
  const errors = [], hosts = new Set();
  page.on("console", message => { if (message.type() === "error") errors.push(message.text()); });
  page.on("pageerror", error => errors.push(String(error)));
  page.on("request", request => { const { protocol, origin } = new URL(request.url());
    if (!["data:", "blob:"].includes(protocol)) hosts.add(origin); });
  await page.goto(home);
  const settled = snr => page.waitForFunction(wanted => document.body.dataset.snr === wanted, String(snr), { timeout: 60000 });
  await settled(14.5);

  const set = async snr => {
    await page.evaluate(() => { delete document.body.dataset.snr; });
    await page.locator("#snr").fill(String(snr));
    await settled(snr);
  };
  const right = async () => {  // of all shown images: read rightly by each model
    const count = await page.locator("#images button").count(), found = [0, 0];
    for (let i = 0; i < count; i++) {
      await page.evaluate(() => { delete document.body.dataset.snr; });
      await page.locator("#images button").nth(i).click();
      await page.waitForFunction(() => document.body.dataset.snr !== undefined);
      const best = await page.evaluate(() => [...document.querySelectorAll(".bars")].map(
        bars => bars.children[0].className === "is-right"));
      best.forEach((is, model) => { found[model] += is; });
    }
    return found.map(value => value / count);
  };
  const good = await right();
  await page.screenshot({ path: path.join(pictures, "demo-14.5dB.png"), fullPage: true });
  await set(-10);
  const bad = await right();
  await page.screenshot({ path: path.join(pictures, "demo-minus10dB.png"), fullPage: true });
  console.log(`right at 14.5 dB: ${good}; at -10 dB: ${bad}`);
  assert(good[0] >= 0.5 && bad[0] < good[0]);

  // A picture of one's own, and what is none.
  await page.locator("#file").setInputFiles(path.join(pictures, "demo-14.5dB.png"));
  await page.waitForFunction(() => document.querySelector("#images [aria-pressed=true]") === null);
  assert.strictEqual(await page.locator(".is-right").count(), 0);
  const text = path.join(pictures, "no-picture.png");
  writeFileSync(text, "no picture");
  await page.locator("#file").setInputFiles(text);
  await page.waitForFunction(() => document.getElementById("state").textContent.includes("cannot be read"));

  await page.setViewportSize({ width: 400, height: 800 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert(wide <= 0, `overflows by ${wide} pixels at 400`);
  await page.screenshot({ path: path.join(pictures, "demo-400px.png"), fullPage: true });
  assert.deepStrictEqual(errors, []);
  assert.deepStrictEqual([...hosts], [home]);
  console.log(`no error; the only host asked is the page's own`);
  await browser.close();
  server.close();
})().catch(error => { console.error(error); process.exit(1); });
