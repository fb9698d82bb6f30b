// Opens the notebooks in JupyterLab in headless Chromium and uses them as a reader would. Not part of the suite.
//
//   npm install --prefix /tmp/browser playwright-core
//   git clone . /tmp/copy && ln -s "$PWD/.venv" /tmp/copy/.venv
//   NODE_PATH=/tmp/browser/node_modules node tests/browser/notebooks.cjs /tmp/copy /tmp/pictures [NOTEBOOK …]
//
// The first folder is a copy of the project, in which notebooks are changed and run; pictures go to the second one.
// STUDY names another study than quick, such as a tiny one in the copy's params/; with names of notebooks, only these
// are run. Exit code 1 when anything fails.
const {chromium} = require("playwright-core");
const {spawn} = require("child_process");
const {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} = require("fs");
const {tmpdir} = require("os");
const {resolve} = require("path");

const project = resolve(process.argv[2]), folder = resolve(process.argv[3]), port = 8899, token = "reader";
const asked = process.argv.slice(4), study = process.env.STUDY ?? "quick", patience = 600_000;
const books = readdirSync(`${project}/notebooks`).filter(name => /^\d\d_.*\.ipynb$/.test(name));
let failed = 0;

function check(what, holds, found = "") {
  console.log(`${holds ? "ok    " : "FAILED"} ${what}${found === "" ? "" : `: ${found}`}`);
  failed += !holds;
}

// A copy of a notebook whose parameters cell has these values; returns its name.
function changed(name, values, copy) {
  const book = JSON.parse(readFileSync(`${project}/notebooks/${name}`, "utf8"));
  const cell = book.cells.find(one => (one.metadata.tags ?? []).includes("parameters"));
  let source = [cell.source].flat().join("");
  for (const [key, value] of Object.entries(values)) {
    source = source.replace(new RegExp(`^(${key}\\b[^=\\n]*=)[^#\\n]*`, "m"), `$1 ${value}  `);
  }
  cell.source = source;
  writeFileSync(`${project}/notebooks/${copy}`, JSON.stringify(book));
  return copy;
}

async function opened(context, name) {
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${port}/lab/tree/notebooks/${name}?token=${token}&reset`, {timeout: patience});
  await page.locator(".jp-Notebook .jp-Cell").first().waitFor({timeout: patience});
  await idle(page);
  return page;
}

async function idle(page) {  // no cell waits or runs, and the kernel has nothing to do
  await page.waitForTimeout(1500);
  await page.waitForFunction(() => {
    const kernel = jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
    const running = [...document.querySelectorAll(".jp-InputPrompt")].some(prompt => prompt.textContent.includes("*"));
    return kernel?.status === "idle" && !running;
  }, null, {timeout: patience});
}

const command = (page, name) => page.evaluate(name => void jupyterapp.commands.execute(name), name);
// From the notebook's model, because JupyterLab draws only the cells in sight.
const outputs = page => page.evaluate(() => [...jupyterapp.shell.currentWidget.content.model.cells]
  .filter(cell => cell.type === "code").flatMap(cell => cell.outputs.toJSON()));
const errors = async page => (await outputs(page)).filter(output => output.output_type === "error");
const said = async page => (await outputs(page)).map(output => [output.text ?? ""].flat().join("")).join("");

async function runAll(context, name) {
  const shipped = /^(1|2|30)/.test(name) ? "quick" : study;  // these show results, which another study may not have
  const values = name.startsWith("40") ? {} : {study: `"${shipped}"`};  // 40 is about a study of its own
  const page = await opened(context, changed(name, values, `lab-${name}`));
  await command(page, "notebook:run-all-cells");
  await idle(page);
  const found = await errors(page);
  check(`${name} runs to its end`, found.length === 0, found.map(error => error.evalue).join("; "));
  const pictures = (await outputs(page)).filter(output => output.data?.["image/png"]).length;
  check(`${name} shows pictures`, pictures > 0, pictures);
  const warned = (await outputs(page)).filter(output => output.name === "stderr").map(output => [output.text].flat().join(""));
  check(`${name} warns of nothing`, warned.length === 0, warned.join(" ").slice(0, 200));
  await look(page, name);
  return page;
}

// From the first cell to the last, a picture each screen: what is wider than its place, and what was seen.
async function look(page, name) {
  const wide = new Set();
  await page.evaluate(() => document.querySelector(".jp-WindowedPanel-outer").scrollTo(0, 0));
  for (let screen = 0; screen < 40; screen += 1) {
    await page.waitForTimeout(400);
    for (const text of await page.evaluate(() => [...document.querySelectorAll(
      ".jp-OutputArea-output, .jp-RenderedHTMLCommon")].filter(one => one.scrollWidth > one.clientWidth + 2)
      .map(one => `${one.textContent.trim().slice(0, 40)} (${one.scrollWidth - one.clientWidth} px)`))) wide.add(text);
    await page.screenshot({path: `${folder}/${name}-${String(screen).padStart(2, "0")}.png`});
    const more = await page.evaluate(() => {
      const panel = document.querySelector(".jp-WindowedPanel-outer"), before = panel.scrollTop;
      panel.scrollBy(0, panel.clientHeight - 60);
      return panel.scrollTop > before + 1;
    });
    if (!more) break;
  }
  check(`${name}: nothing is wider than the page`, wide.size === 0, [...wide].join("; "));
}

// A profile that ships no results: each page says what fills it.
async function withoutResults(context) {
  for (const name of books.filter(book => /^(1|2|30)/.test(book))) {
    const page = await opened(context, changed(name, {study: '"desk"'}, `lab-empty-${name}`));
    await command(page, "notebook:run-all-cells");
    await idle(page);
    const found = await errors(page), traces = found.filter(error => error.traceback.length > 1);
    const text = await said(page) + found.map(error => error.evalue).join(" ");
    check(`${name} without results names the command that fills it`, text.includes("./run_all.sh") && !traces.length,
      text.match(/[^.;]*\.\/run_all\.sh[^.;\n]*/)?.[0].trim() ?? text.slice(0, 200));
    await page.evaluate(() => document.querySelector(".jp-WindowedPanel-outer").scrollTo(0, 0));
    await page.locator(".jp-OutputArea-output").filter({hasText: "run_all.sh"}).first()
      .scrollIntoViewIfNeeded({timeout: 3000}).catch(() => {});
    await page.screenshot({path: `${folder}/empty-${name}.png`});
    await page.close();
  }
}

async function badParameter(context) {
  const page = await opened(context, changed("02_prune.ipynb", {study: `"${study}"`, pool: 9}, "lab-bad.ipynb"));
  await command(page, "notebook:run-all-cells");
  await idle(page);
  const [error] = await errors(page);
  check("a bad parameter is a sentence without a traceback", error?.traceback.length === 1 &&
    !error.traceback[0].includes("File "), error?.traceback.join(" "));
  await page.evaluate(async () => {  // only cells in sight are drawn
    const content = jupyterapp.shell.currentWidget.content;
    await content.scrollToItem([...content.model.cells].findIndex(cell => cell.type === "code" &&
      cell.outputs.toJSON().some(output => output.output_type === "error")), "start");
  });
  await page.waitForTimeout(1000);
  await page.screenshot({path: `${folder}/bad-parameter.png`});
  await page.close();
}

async function interrupted(context) {
  const page = await opened(context, changed("01_pretrain.ipynb", {study: `"${study}"`, seed: 1}, "lab-stop.ipynb"));
  await command(page, "notebook:run-all-cells");
  await page.waitForFunction(() => document.querySelector(".jp-OutputArea-output .widget-hprogress, " +
    ".jp-OutputArea-output .jupyter-widgets progress"), null, {timeout: patience});
  check("a training shows a bar", true);
  await page.locator(".widget-hprogress, .jupyter-widgets progress").first().scrollIntoViewIfNeeded();
  await page.screenshot({path: `${folder}/bar.png`});
  await page.waitForTimeout(+(process.env.STOP_AFTER ?? 3000));
  await command(page, "notebook:interrupt-kernel");
  await idle(page);
  const stopped = (await errors(page)).map(error => error.ename);
  check("an interrupt ends the training", stopped.includes("KeyboardInterrupt"), stopped.join(", "));
  await command(page, "notebook:run-all-cells");
  await idle(page);
  const left = await errors(page);
  check("the same cells then run to their end", left.length === 0, left.map(error => error.evalue).join("; "));
  await command(page, "notebook:run-all-cells");  // and once more, finished
  await idle(page);
  const last = await errors(page);
  check("and again when it is finished", last.length === 0, last.map(error => error.evalue).join("; "));
  await page.close();
}

async function outOfOrder(context) {
  const page = await opened(context, changed("01_pretrain.ipynb", {study: `"${study}"`}, "lab-order.ipynb"));
  await command(page, "notebook:run-all-cells");
  await idle(page);
  // The parameters cell again, with another seed, and then the last cells without the start of the job.
  await page.evaluate(async () => {
    const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    await kernel.requestExecute({code: "seed = 7"}).done;
    const content = jupyterapp.shell.currentWidget.content, cells = [...content.model.cells];
    content.activeCellIndex = cells.findIndex(cell => cell.sharedModel.source.includes("job.finish("));
    await jupyterapp.commands.execute("notebook:run-cell");
  });
  await idle(page);
  const [error] = await errors(page);
  check("a parameter that changed after the start is noticed", /seed is 7 now/.test(error?.evalue ?? ""), error?.evalue);
  await page.close();
}

async function moved(page, name) {
  const handle = page.locator(".jp-OutputArea-output .noUi-handle").last();
  await handle.scrollIntoViewIfNeeded();
  const output = page.locator(".jp-OutputArea-output .widget-output").last();
  const before = await output.innerHTML();
  await handle.focus();
  for (let step = 0; step < 4; step += 1) await page.keyboard.press("ArrowLeft");
  await page.waitForTimeout(1000);
  await idle(page);
  check(`${name}: a slider that moves draws anew`, before !== await output.innerHTML());
  await page.screenshot({path: `${folder}/${name}-moved.png`});
}

async function answers() {
  for (let second = 0; second < 120; second += 1) {
    const there = await fetch(`http://127.0.0.1:${port}/api/status?token=${token}`).catch(() => null);
    if (there?.ok) return;
    await new Promise(done => setTimeout(done, 1000));
  }
  throw new Error("JupyterLab does not answer");
}

(async () => {
  mkdirSync(folder, {recursive: true});
  const profile = mkdtempSync(tmpdir() + "/browser-"), settings = `${profile}/lab/@jupyterlab/apputils-extension`;
  mkdirSync(settings, {recursive: true});  // else a question about news covers a corner of every picture
  writeFileSync(`${settings}/notification.jupyterlab-settings`, JSON.stringify({fetchNews: "false"}));
  const server = spawn(`${project}/.venv/bin/jupyter`, ["lab", "--no-browser", "--allow-root", `--port=${port}`,
    `--IdentityProvider.token=${token}`, "--LabApp.expose_app_in_browser=True",
    `--LabApp.user_settings_dir=${profile}/lab`, `--ServerApp.root_dir=${project}`],
    {cwd: project, stdio: "ignore"});
  try {
    await answers();
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true,
      viewport: {width: 1300, height: 1000}, args: ["--no-sandbox", "--disable-gpu"]});
    if (!asked.length) {
      await badParameter(context);
      await interrupted(context);
      await outOfOrder(context);
      await withoutResults(context);
    }
    for (const name of asked.length ? asked : books) {
      const page = await runAll(context, name);
      if (/^3[01]_/.test(name)) await moved(page, name);
      await page.close();
    }
    await context.close();
  } finally {
    server.kill();
    rmSync(profile, {recursive: true, force: true});
  }
  process.exit(failed ? 1 : 0);
})().catch(error => { console.error(error); process.exit(1); });
