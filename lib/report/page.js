"use strict";
// What the page needs beyond its text: points that open their runs, and the search over cards, one for each run.
const data = JSON.parse(document.getElementById("data").textContent);
const runs = new Map(data.runs.map(run => [run.name, run]));
const downstream = new Map(data.runs.map(run => [run.name, []]));
for (const run of data.runs) for (const name of run.upstream) downstream.get(name)?.push(run.name);

function element(tag, attributes, ...children) {
  const svg = ["svg", "path", "text", "circle"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children.filter(child => child !== null && child !== undefined && child !== ""));
  return made;
}

const percent = value => value === undefined || value === null ? "" : (100 * value).toFixed(1);
const number = value => typeof value !== "number" ? String(value) : Number.isInteger(value) ?
  value.toLocaleString("en") : String(+value.toPrecision(5));
const AGAIN = "rests on a re-trained upstream model";
const processor = run => /threads?$/.test(run.provenance.device) ? "CPU" : "GPU";
const device = run => `${run.provenance.device} (${processor(run)})`;
const link = name => runs.has(name) ? element("a", {href: "#" + name}, name) : element("span", {}, name);
const links = names => names.length ? element("ul", {}, ...names.map(name => element("li", {}, link(name)))) : "none";

function command(name) {
  const text = element("code", {class: "command"}, `./run_all.sh recheck ${data.profile} ${name}`);
  const button = element("button", {type: "button", "aria-label": "copy the command"}, "copy");
  button.onclick = async () => {
    getSelection().selectAllChildren(text);  // so that it can be copied by hand where the browser forbids it
    try { await navigator.clipboard.writeText(text.textContent); } catch { document.execCommand("copy"); }
    button.textContent = "copied";
    setTimeout(() => button.textContent = "copy", 1500);
  };
  return element("span", {}, text, " ", button);
}

function list(pairs) {
  return element("dl", {}, ...pairs.filter(pair => ![undefined, null, ""].includes(pair[1])).flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, value instanceof Node ? value : number(value))]));
}

function table(head, rows) {
  const row = (cells, tag) => element("tr", {}, ...cells.map(cell => element(tag, {}, cell)));
  return element("div", {class: "scroll"}, element("table", {},
    element("thead", {}, row(head, "th")), element("tbody", {}, ...rows.map(cells => row(cells, "td")))));
}

const tip = document.getElementById("tip");

function apart(point, x, y) {
  const box = point.querySelector(".hit").getBoundingClientRect();
  return Math.hypot(x - box.x - box.width / 2, y - box.y - box.height / 2);
}

function nearest(points, {clientX: x, clientY: y}) {  // points overlap, and the browser finds the one drawn last
  return points.reduce((best, point) => apart(point, x, y) <= apart(best, x, y) ? point : best);
}

function hideTip() {
  tip.hidden = true;
  document.querySelector(".near")?.classList.remove("near");
}

function showTip(point) {
  hideTip();
  const box = point.querySelector(".hit").getBoundingClientRect();
  point.classList.add("near");
  const others = [...point.closest(".plot").querySelectorAll(".point")].filter(other =>
    other !== point && apart(other, box.x + box.width / 2, box.y + box.height / 2) < 4).length;
  tip.textContent = point.getAttribute("aria-label") + (others ? `. ${others} more here: arrow keys` : "");
  tip.hidden = false;
  tip.style.left = Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = (box.top > tip.offsetHeight + 12 ? box.top - tip.offsetHeight - 8 : box.bottom + 8) + "px";
}

function openPoint(point) {
  const section = point.closest("section"), box = section.querySelector(".behind");
  section.querySelectorAll(".chosen").forEach(other => other.classList.remove("chosen"));
  point.classList.add("chosen");
  const behind = point.dataset.runs.split(",").map(place => data.runs[place]), snr = Number(point.dataset.snr);
  const items = behind.map(run => {
    const draws = run.over_snr.find(pair => pair[0] === snr)?.[1] ?? [];
    const numbers = `: seed ${run.parameters.seed}, ${device(run)}; ${draws.map(percent).join(" · ")} % at ${snr} dB` +
      (draws.length > 1 ? ", one number a noise draw" : "") + (run.retrained_upstream ? "; " + AGAIN : "");
    return element("li", {}, link(run.name), numbers, element("br"), command(run.name));
  });
  const many = behind.length > 1 ? `This point is the mean of ${behind.length} models.` : "This point is one model.";
  box.replaceChildren(element("p", {}, element("b", {}, point.getAttribute("aria-label")), ". " + many),
    element("ul", {}, ...items));
  box.classList.add("filled");
  box.scrollIntoView({block: "nearest"});
}

for (const plot of document.querySelectorAll(".plot")) {
  const points = [...plot.querySelectorAll(".point")];
  plot.onclick = event => {  // a click by Enter has no place
    event.preventDefault();
    openPoint(event.detail ? nearest(points, event) : event.target.closest(".point"));
  };
  const curves = [...plot.querySelectorAll(".curve")].map(curve => [...curve.querySelectorAll(".point")]);
  points.forEach((point, place) => {
    const title = point.querySelector("title");  // the browser's own tooltip would stand over ours
    point.setAttribute("aria-label", title.textContent);
    title.remove();
    point.setAttribute("role", "button");
    point.setAttribute("tabindex", place ? -1 : 0);
    point.onfocus = () => showTip(point);
    point.onmousemove = event => showTip(nearest(points, event));
    point.onmouseleave = point.onblur = hideTip;
    point.onkeydown = event => {
      const curve = curves.findIndex(some => some.includes(point)), along = curves[curve].indexOf(point);
      const beside = step => curves[(curve + step + curves.length) % curves.length];
      const next = {ArrowRight: points[place + 1], ArrowLeft: points[place - 1],
        ArrowUp: beside(-1)[Math.min(along, beside(-1).length - 1)],
        ArrowDown: beside(1)[Math.min(along, beside(1).length - 1)]}[event.key];
      if (event.key === " ") { event.preventDefault(); openPoint(point); }
      if (!next) return;
      event.preventDefault();
      point.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    };
  });
}

function learningCurve(history) {
  const column = name => history.data.map(row => row[history.columns.indexOf(name)]);
  const box = element("svg", {viewBox: "0 0 340 150", class: "curve-box", role: "img", "aria-label": "learning curve"});
  const draw = (values, style, x, anchor, unit) => {
    const low = Math.min(...values), high = Math.max(...values);
    const place = (value, i) => [40 + 260 * i / Math.max(1, values.length - 1),
      high > low ? 115 - 100 * (value - low) / (high - low) : 65];
    const points = values.map(place);
    box.append(element("path", {class: `line s${style}`, d: "M" + points.map(pair => pair.map(v => v.toFixed(1))).join("L")}),
      ...points.length < 13 ? points.map(([cx, cy]) => element("circle", {cx, cy, r: 2.5, class: `s${style}`, fill: "var(--c)"})) : [],
      element("text", {x, y: 14, "text-anchor": anchor}, number(+high.toPrecision(3)) + unit),
      element("text", {x, y: 118, "text-anchor": anchor}, number(+low.toPrecision(3)) + unit));
  };
  box.append(element("path", {class: "axis", d: "M40,8V122H300V8"}));
  const epochs = column("epoch").length;
  draw(column("loss"), 0, 36, "end", "");
  if (history.columns.includes("test_accuracy")) draw(column("test_accuracy").map(v => 100 * v), 1, 304, "start", "");
  box.append(element("text", {x: 40, y: 140}, "1"), element("text", {x: 300, y: 140, "text-anchor": "end"}, epochs),
    element("text", {x: 170, y: 140, "text-anchor": "middle"}, "epoch"));
  return element("div", {}, box, element("p", {class: "note"}, "blue, left: training loss" +
    (history.columns.includes("test_accuracy") ? "; orange, right: test accuracy (%)" : "")));
}

function chain(run) {  // from step 1 to this run
  const before = run.upstream.filter(name => runs.has(name)).flatMap(name => chain(runs.get(name)));
  return [...before, run];
}

function flat(values, start = "") {
  return Object.entries(values).flatMap(([name, value]) => value && typeof value === "object" && !Array.isArray(value) ?
    flat(value, `${start}${name}.`) : [[start + name, Array.isArray(value) ? value.join(", ") : value]]);
}

function fill(card, run) {
  const origin = run.provenance, text = name => run.folder + "/" + name;
  const files = element("span", {}, element("a", {href: text("result.json")}, "result.json"), " · ",
    run.history ? element("a", {href: text("history.csv")}, "history.csv") : "no training, so no history.csv");
  card.append(element("p", {}, "Compute it again, changing nothing here: ", command(run.name)),
    element("div", {class: "columns"},
      element("div", {}, element("h4", {}, "Where it came from"), list([
        ["seed", run.parameters.seed], ["device", device(run)], ["precision", origin.precision],
        ["threads", origin.threads], ["wall time", origin.seconds + " s"],
        ["peak memory", origin.peak_memory_mib && number(origin.peak_memory_mib) + " MiB"], ["finished", origin.end],
        ["commit", (origin.commit ?? "unknown") + (origin.uncommitted_changes ? ", with uncommitted changes" : "")],
        ["code hash", run.code], ["hash in result.json", run.hash],
        ["versions", Object.entries(origin.versions ?? {}).map(pair => pair.join(" ")).join(", ")],
        ["upstream", run.retrained_upstream ? AGAIN : ""], ["used in", run.figures.join(", ")], ["files", files],
        ["notebook", `${run.notebook}.ipynb; its executed copy is not kept, the command above makes it`]])),
      element("div", {}, element("h4", {}, "Accuracy (%) after each step up to here"),
        table(["run", "without noise", "at its SNR"], chain(run).map(step =>
          [link(step.name), percent(step.metrics.accuracy_clean), percent(step.metrics.accuracy_at_snr)])),
        element("h4", {}, "Upstream runs"), links(run.upstream),
        element("h4", {}, "Downstream runs"), links(downstream.get(run.name)))),
    element("div", {class: "columns"},
      run.history ? element("div", {}, element("h4", {}, "Learning curve"), learningCurve(run.history)) : null,
      run.over_snr.length ? element("div", {}, element("h4", {}, "Accuracy (%) over SNR, one number a noise draw"),
        table(["SNR (dB)", "accuracy"], run.over_snr.map(([snr, draws]) =>
          [number(snr), draws.map(percent).join(" · ")]))) : null),
    element("div", {class: "columns"},
      element("div", {}, element("h4", {}, "Parameters"), list(flat(run.parameters))),
      element("div", {}, element("h4", {}, "Metrics"), list(flat(run.metrics)))));
}

function card(run) {
  const at = run.metrics.accuracy_at_snr ?? run.metrics.accuracy_clean, made = element("details", {class: "card", "data-run": run.name},
    element("summary", {}, run.name, at === undefined ? "" : element("span", {class: "note"}, ` · ${percent(at)} %`)));
  made.ontoggle = () => { if (made.open && made.children.length === 1) fill(made, run); };
  return made;
}

const form = document.getElementById("filter"), more = document.getElementById("more");
const choices = {step: run => run.step, pool: run => run.parameters.pool, ratio: run => run.parameters.ratio,
  bandwidth: run => run.parameters.bandwidth, SNR: run => run.parameters.snr_db, scheme: run => run.parameters.scheme,
  seed: run => run.parameters.seed, "computed on": processor};
for (const [name, of] of Object.entries(choices)) {
  const values = [...new Set(data.runs.map(of))].filter(value => value !== undefined && value !== null);
  if (typeof values[0] === "number") values.sort((a, b) => a - b);
  form.append(element("label", {}, name, element("select", {name}, element("option", {value: ""}, "all"),
    ...values.map(value => element("option", {value}, String(value))))));
}
form.append(element("button", {type: "reset"}, "all runs"));
const words = run => [run.name, device(run), run.provenance.commit, run.hash, run.code, run.notebook, ...run.figures,
  run.retrained_upstream ? AGAIN : ""].join(" ").toLowerCase();

let shown = 25;
function search(first) {
  const asked = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean), found = data.runs.filter(run => asked.every(word => words(run).includes(word)) &&
    Object.entries(choices).every(([name, of]) => [String(of(run)), ""].includes(form.elements[name].value)));
  found.sort((a, b) => (b === first) - (a === first));
  document.getElementById("list").replaceChildren(...found.slice(0, shown).map(card));
  document.getElementById("count").textContent = `${found.length} of ${data.runs.length} runs`;
  more.hidden = found.length <= shown;
}
form.oninput = () => { shown = 25; search(); };
form.onsubmit = event => event.preventDefault();
form.onreset = () => setTimeout(form.oninput);
more.onclick = () => { shown += 100; search(); };
function follow() {  // a link to a run opens its card, a link to a claim its details
  const name = decodeURIComponent(location.hash.slice(1)), run = runs.get(name);
  const claim = document.getElementById(name);
  if (claim?.tagName === "DETAILS") claim.open = true;
  if (!run) return;
  for (const field of form.querySelectorAll("input, select")) field.value = "";
  form.elements.text.value = name;
  shown = 25;
  search(run);
  const made = document.querySelector(".card");
  made.open = true;
  made.scrollIntoView();
  made.querySelector("summary").focus({preventScroll: true});
}
document.addEventListener("click", event => {  // also when the address is there already
  const target = event.target.closest?.("a[href^='#']");
  if (target && target.getAttribute("href") === location.hash) follow();
});
addEventListener("hashchange", follow);
search();
follow();
let closed = [];  // browsers that leave closed details out of print need them open
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open], .card)")];
  closed.forEach(part => { part.open = true; });
});
addEventListener("afterprint", () => closed.forEach(part => { part.open = false; }));
