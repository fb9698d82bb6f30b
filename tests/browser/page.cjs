// Opens a report page from disk in headless Chromium, with the network off, and uses it as a reader would.
//
//   npm install --prefix /tmp/browser playwright-core
//   NODE_PATH=/tmp/browser/node_modules node tests/browser/page.cjs outputs/gpu/report/index.html [FOLDER]
//
// Pictures and the printed page go to FOLDER, if one is given. Exit code 1 when anything does not hold.
const {chromium} = require("playwright-core");
const {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync} = require("fs");
const {tmpdir} = require("os");
const {dirname, resolve} = require("path");
const {pathToFileURL} = require("url");

const file = resolve(process.argv[2] ?? "outputs/gpu/report/index.html"), folder = process.argv[3];
const address = pathToFileURL(file).href;
let failed = 0;

function check(what, holds, found = "") {
  console.log(`${holds ? "ok    " : "FAILED"} ${what}${found === "" ? "" : `: ${found}`}`);
  failed += !holds;
}

async function opened(context, complaints) {
  const page = await context.newPage();
  page.on("console", message => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", error => complaints.push(String(error)));
  page.on("request", request => request.url() !== address && !request.url().startsWith("data:") &&
    complaints.push("request: " + request.url()));
  await page.goto(address);
  return page;
}

async function links(page) {
  const found = await page.$$eval("a[href]", all => all.map(link => link.getAttribute("href")));
  const targets = new Set(await page.evaluate(() => [...runs.keys(),
    ...[...document.querySelectorAll("[id]")].map(part => part.id)]));
  const broken = [...new Set(found)].filter(link => link.startsWith("#") ? !targets.has(decodeURIComponent(link.slice(1))) :
    /^[a-z]+:/.test(link) || !existsSync(resolve(dirname(file), link.split("#")[0])));
  check(`${new Set(found).size} links resolve`, broken.length === 0, broken.slice(0, 5).join(", "));
  const files = await page.evaluate(() => data.runs.flatMap(run =>
    [`${run.folder}/result.json`, ...run.history ? [`${run.folder}/history.csv`] : []]));
  check(`${files.length} files of the cards exist`, files.every(name => existsSync(resolve(dirname(file), name))));
}

async function figures(page) {
  for (const figure of await page.$$eval("section.figure", all => all.map(section => section.id))) {
    const point = page.locator(`#${figure} .curve:not(.digital) .point:not(.faint)`).last();
    await point.locator(".hit").hover({force: true});
    check(`${figure}: a point shows its numbers`, await page.locator("#tip").isVisible(), await page.locator("#tip").innerText());
    await point.locator(".hit").click({force: true});
    const behind = page.locator(`#${figure}-behind li a`), name = await behind.first().innerText();
    check(`${figure}: a click lists its runs`, await behind.count() > 0, `${await behind.count()}, first ${name}`);
    await behind.first().click();
    const card = page.locator(`.card[data-run="${name}"]`);
    await card.locator("table").first().waitFor();
    check(`${figure}: a run's link opens its card`, (await card.innerText()).includes(`recheck ${await page.evaluate(() => data.profile)} ${name}`));
  }
}

async function nearest(page) {
  const wrong = await page.evaluate(() => [...document.querySelectorAll(".plot")].flatMap(plot => {
    const centre = point => {
      const box = point.querySelector(".hit").getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2];
    };
    return [...plot.querySelectorAll(".point")].filter(point => {
      const [clientX, clientY] = centre(point);  // before the click, which may scroll
      plot.dispatchEvent(new MouseEvent("click", {detail: 1, clientX, clientY, bubbles: true}));
      const [x, y] = centre(point), [otherX, otherY] = centre(plot.querySelector(".chosen"));
      return Math.hypot(x - otherX, y - otherY) > 2;  // a mouse has whole pixels
    }).map(point => point.getAttribute("aria-label"));
  }));
  check("a click on a point opens it, not one that lies over it", wrong.length === 0, wrong.slice(0, 3).join("; "));
}

async function keyboard(page) {
  await page.locator("section.figure .plot .point").first().focus();
  const label = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  const before = await label();
  await page.keyboard.press("ArrowRight");
  check("arrow keys go to the next point", before !== await label(), await label());
  await page.keyboard.press("Enter");
  check("Enter lists its runs", await page.locator("section.figure .behind.filled").count() > 0);
  await page.locator(".verdict summary").first().focus();
  await page.keyboard.press("Enter");
  check("Enter opens a verdict", await page.locator(".verdict[open]").count() === 1);
  await page.locator("button[type=reset]").focus();
  await page.keyboard.press("Enter");
  await page.locator("input[type=search]").focus();
  await page.keyboard.type("autoencoder s0");
  const count = await page.locator("#count").innerText();
  check("typing filters the runs", /^\d+ of \d+ runs$/.test(count) && !count.startsWith("0 "), count);
}

async function everyCard(page) {
  const bad = await page.evaluate(() => data.runs.filter(run => {
    const made = card(run);
    fill(made, run);
    return !made.textContent.includes(`recheck ${data.profile} ${run.name}`) || /undefined|NaN|\[object/.test(made.textContent);
  }).map(run => run.name));
  check(`every card is whole (${await page.evaluate(() => data.runs.length)})`, bad.length === 0, bad.slice(0, 5).join(", "));
}

async function narrow(context, complaints) {
  const page = await opened(context, complaints);
  await page.setViewportSize({width: 400, height: 800});
  if (folder) await page.locator("section.figure").nth(1).screenshot({path: `${folder}/narrow.png`});
  await page.locator("details").evaluateAll(all => all.forEach(part => { part.open = true; }));
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  check("no horizontal scroll at 400 pixels, everything open", width <= 400, width);
  await page.close();
}

async function printed(context, complaints) {
  const page = await opened(context, complaints);
  const pdf = await page.pdf({format: "A4", preferCSSPageSize: true, ...folder ? {path: `${folder}/page.pdf`} : {}});
  const pages = (pdf.toString("latin1").match(/\/Type\s*\/Page\b(?!s)/g) ?? []).length;
  check("printed pages, under 15", pages > 0 && pages < 15, pages);
  await page.emulateMedia({media: "print"});
  await page.setViewportSize({width: 703, height: 1000});  // A4 between its margins
  const cut = await page.evaluate(() => [...document.querySelectorAll("table, .plot, p, li, dd, code")].filter(part =>
    part.checkVisibility() && part.getBoundingClientRect().right > innerWidth + 1).length);
  check("nothing is cut at the right of a printed page", cut === 0, cut);
  await page.close();
}

(async () => {
  const profile = mkdtempSync(tmpdir() + "/browser-"), complaints = [];
  if (folder) mkdirSync(folder, {recursive: true});
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, viewport: {width: 1300, height: 900},
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"]});
  await context.setOffline(true);
  const page = await opened(context, complaints);
  check("size, under 6 MB", readFileSync(file).length < 6e6, `${(readFileSync(file).length / 1e6).toFixed(2)} MB`);
  if (folder) {
    await page.screenshot({path: `${folder}/top.png`});
    for (const figure of await page.$$eval("section.figure", all => all.map(section => section.id))) {
      await page.locator("#" + figure).screenshot({path: `${folder}/${figure}.png`});
    }
  }
  await links(page);
  await figures(page);
  if (folder) await page.locator(".card").first().screenshot({path: `${folder}/card.png`});
  await nearest(page);
  await keyboard(page);
  await everyCard(page);
  await narrow(context, complaints);
  await printed(context, complaints);
  check("no request and no complaint in the console", complaints.length === 0, complaints.slice(0, 5).join("; "));
  await context.close();
  rmSync(profile, {recursive: true, force: true});
  process.exit(failed ? 1 : 0);
})().catch(error => { console.error(error); process.exit(1); });
