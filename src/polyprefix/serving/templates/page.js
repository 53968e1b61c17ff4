"use strict";
const $ = id => document.getElementById(id);
const CHUNK = 32;
let adapters = [], key = "";

function element(name, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = text;
  return made;
}

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").setAttribute("role", wrong ? "alert" : "status");
}

async function call(path, body) {
  const headers = key ? {authorization: "Bearer " + key} : {};
  if (body) headers["content-type"] = "application/json";
  for (;;) {
    const answer = await fetch(path, {method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body)});
    if (answer.ok) return answer.json();
    if (answer.status === 401) $("key").hidden = false;
    if (answer.status !== 429) {
      const problem = await answer.json().catch(() => ({}));
      throw new Error(problem.error ? problem.error.message : "the service answered " + answer.status);
    }
    const seconds = Number(answer.headers.get("retry-after")) || 1;
    await new Promise(done => setTimeout(done, 1000 * seconds));
  }
}

const shape = adapter => JSON.stringify([adapter.task, adapter.inputs]);
const asked = () => adapters.filter(adapter => shape(adapter) === $("task").value);

async function begin() {
  adapters = (await call("/v1/models")).data;
  const shapes = [...new Set(adapters.map(shape))];
  $("task").replaceChildren(...shapes.map(value => {
    const [task, inputs] = JSON.parse(value);
    return element("option", task + " (" + inputs.join(", ") + ")", {value});
  }));
  $("tasks").hidden = shapes.length < 2;
  choose();
}

function choose() {
  const here = asked(), fields = here[0].inputs;
  $("inputs").replaceChildren(...fields.flatMap(name => [
    element("p", undefined).appendChild(element("label", name, {htmlFor: "input-" + name})).parentNode,
    element("textarea", undefined, {id: "input-" + name, name, rows: 2, dir: "auto", required: true}),
  ]));
  for (const area of $("inputs").querySelectorAll("textarea"))
    area.addEventListener("keydown", event => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("ask").requestSubmit();
    });
  $("adapter").replaceChildren(...here.map(adapter => element("option", adapter.id, {value: adapter.id})));
  const known = fields.length === 1 ? here.flatMap(adapter => adapter.examples) : [];
  const seen = new Map(known.map(example => [example.language, example]));
  $("examples").replaceChildren(...[...seen.values()].slice(0, 8).map(example => {
    const button = element("button", example.name, {type: "button", title: example.text});
    button.addEventListener("click", () => {
      $("inputs").querySelector("textarea").value = example.text;
      $("ask").requestSubmit();
    });
    return button;
  }));
  $("answers").replaceChildren();
}

const percent = share => (100 * share).toFixed(1) + "%";

function trust(answer) {
  const {language, measured} = answer;
  const name = language.name || "no language that is known";
  const said = language.recognised ? "Recognised: " + name + (language.probability ? " (" + percent(language.probability) + ")" : "") : "Given: " + name;
  const tested = measured.status === "tested", above = tested && measured.ci95[0] > measured.chance;
  const figure = tested
    ? measured.metric + " " + percent(measured.value) + " (95% interval " + measured.ci95.map(percent).join(" to ") + ", " + measured.n + " examples, chance " + percent(measured.chance) + ")"
      + (above ? "" : ": not clearly above chance.")
    : measured.status === "never tested" ? "Never tested in this language: nothing is known of such answers." : "Language not recognised: nothing is known of such answers.";
  const line = element("p", figure, {className: "trust " + (above ? "above" : "doubtful")});
  return [element("p", said + (measured.training ? ", " + measured.training : ""), {className: "trust"}), line];
}

function card(adapter, answer) {
  const article = element("article");
  article.append(element("h2", adapter.id), element("p", answer.prediction, {className: "prediction", dir: "auto"}));
  if (answer.probabilities) {
    const list = element("ul");
    for (const [label, share] of Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1])) {
      const item = element("li");
      item.append(element("span", label, {dir: "auto"}), element("meter", undefined, {value: share, max: 1, ariaLabel: label}), element("span", percent(share)));
      list.append(item);
    }
    article.append(list);
  }
  if (answer.calibration) article.append(element("p", "Calibrated: " + answer.calibration, {className: "said"}));
  if (answer.context_cut) article.append(element("p", "The text was too long; its end was left out.", {className: "said"}));
  article.append(...trust(answer));
  return article;
}

function request(adapter, inputs) {
  const language = $("language").value.trim();
  return call("/v1/predict", {adapter: adapter.id, inputs, ...(language ? {language} : {})});
}

async function ask() {
  const inputs = Object.fromEntries([...$("inputs").querySelectorAll("textarea")].map(area => [area.name, area.value]));
  const here = asked();
  say("Asking " + here.length + (here.length === 1 ? " adapter" : " adapters"));
  const cards = await Promise.all(here.map(async adapter => card(adapter, (await request(adapter, [inputs])).answers[0])));
  $("answers").replaceChildren(...cards);
  say(cards.length + (cards.length === 1 ? " answer" : " answers"));
}

/* RFC 4180, with the separator that the first line has */
function readCsv(text) {
  text = text.replace(/^\uFEFF/, "");
  const first = text.slice(0, (text + "\n").indexOf("\n")), separator = [",", "\t", ";"].find(mark => first.includes(mark)) || ",";
  const rows = [];
  let row = [], cell = "", quoted = false, whole = false;
  const endCell = () => { row.push(cell); cell = ""; whole = false; };
  const endRow = () => { endCell(); if (row.length > 1 || row[0] !== "") rows.push(row); row = []; };
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') { cell += '"'; i++; }
      else quoted = false;
    } else if (c === '"' && cell === "" && !whole) { quoted = whole = true; }
    else if (c === separator) endCell();
    else if (c === "\n") endRow();
    else if (c !== "\r") cell += c;
  }
  if (quoted) throw new Error("the table: a quote is opened and never closed");
  if (cell !== "" || row.length) endRow();
  return rows;
}

const quoted = cell => /[",\n\r]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell;

async function table(text) {
  const [names, ...rows] = readCsv(text);
  const adapter = adapters.find(one => one.id === $("adapter").value);
  if (!names || !rows.length) throw new Error("the table: no rows");
  for (const name of adapter.inputs)
    if (!names.includes(name)) throw new Error("the table: no column '" + name + "', found " + names.join(", "));
  const bad = rows.findIndex(row => row.length !== names.length);
  if (bad >= 0) throw new Error("the table, row " + (bad + 1) + ": " + rows[bad].length + " cells, expected " + names.length);
  const labels = adapter.labels, lines = [[...names, "prediction", ...labels.map(label => "probabilities." + label), "language", "status"]];
  $("progress").hidden = false;
  $("result").hidden = true;
  const begun = performance.now();
  for (let start = 0; start < rows.length; start += CHUNK) {
    const part = rows.slice(start, start + CHUNK);
    const inputs = part.map(row => Object.fromEntries(adapter.inputs.map(name => [name, row[names.indexOf(name)]])));
    const {answers} = await request(adapter, inputs);
    answers.forEach((answer, i) => lines.push([
      ...part[i], answer.prediction, ...labels.map(label => String(answer.probabilities[label])), answer.language.code || "", answer.measured.status,
    ]));
    const done = start + part.length, left = (performance.now() - begun) / done * (rows.length - done) / 1000;
    $("progress").value = done / rows.length;
    say(done + " of " + rows.length + " rows" + (left > 10 ? ", " + Math.round(left) + " s left" : ""));
  }
  const content = lines.map(line => line.map(quoted).join(",")).join("\n") + "\n";
  URL.revokeObjectURL($("result").href);
  Object.assign($("result"), {href: URL.createObjectURL(new Blob([content], {type: "text/csv"})), download: "answers.csv", hidden: false});
  $("result").focus();
}

const tell = action => action().catch(error => say(error.message, true));
$("ask").addEventListener("submit", event => { event.preventDefault(); tell(ask); });
$("key").addEventListener("submit", event => {
  event.preventDefault();
  key = $("secret").value;
  tell(async () => { await begin(); $("key").hidden = true; say(""); });
});
$("task").addEventListener("change", choose);
$("predict").addEventListener("click", () => tell(() => table($("pasted").value)));
const readFile = file => tell(async () => { $("pasted").value = await file.text(); await table($("pasted").value); });
$("file").addEventListener("change", () => { if ($("file").files.length) readFile($("file").files[0]); });
for (const kind of ["dragover", "dragleave", "drop"])
  $("table").addEventListener(kind, event => {
    event.preventDefault();
    $("table").classList.toggle("drop", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) readFile(event.dataTransfer.files[0]);
  });
tell(begin);
