// Choice of task and model, sorting, grouping, examples. Without JavaScript every table and chart is there, one under the other.
"use strict";
document.documentElement.classList.add("js");
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Only the chosen task and model are shown; a block that names no model belongs to all models of its task.
const chosen = { task: document.getElementById("task"), model: document.getElementById("model") };
const run = new Set(all("[data-task][data-model]").map((block) => JSON.stringify([block.dataset.task, block.dataset.model])));
function choose() {
  const models = [...chosen.model.options];
  for (const model of models) model.disabled = !run.has(JSON.stringify([chosen.task.value, model.value]));
  if (chosen.model.selectedOptions[0].disabled) chosen.model.value = models.find((model) => !model.disabled).value;
  for (const block of all("[data-task]")) {
    const other = ["task", "model"].some((key) => key in block.dataset && block.dataset[key] !== chosen[key].value);
    block.classList.toggle("hidden", other);
  }
}
for (const select of Object.values(chosen)) select.addEventListener("change", choose);
choose();

// The verdict on one language of many.
for (const ask of all(".ask")) {
  const select = ask.querySelector("select"), say = () => (ask.querySelector("output").textContent = select.value);
  select.addEventListener("change", say);
  say();
}

// Sorting by a heading, inside the groups where rows are grouped. What is absent comes last either way.
const grouping = document.getElementById("grouping");
const tables = all("table.sortable").map((table) => {
  const state = { body: table.tBodies[0], rows: [...table.tBodies[0].rows], column: null, falling: false, headings: [...table.tHead.rows[0].cells] };
  state.headings.forEach((heading, column) => {
    if (!heading.dataset.order) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const numeric = heading.dataset.order === "number";
      state.falling = state.column === column ? !state.falling : numeric;  // figures start with the highest
      state.column = column;
      state.headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", state.falling ? "descending" : "ascending");
      arrange(state);
    });
  });
  return state;
});

function compare(state) {
  if (state.column === null) return () => 0;
  const numeric = state.headings[state.column].dataset.order === "number";
  const sign = state.falling ? -1 : 1;
  return (x, y) => {
    const a = x.cells[state.column].dataset.sort, b = y.cells[state.column].dataset.sort;
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (numeric ? a - b : a.localeCompare(b));
  };
}

function arrange(state) {
  const rows = [...state.rows].sort(compare(state));
  const by = grouping.value;
  if (!by) return state.body.replaceChildren(...rows);
  const groups = new Map();
  for (const row of rows) {
    const name = row.dataset[by];
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  const names = [...groups.keys()].sort((a, b) => (a === "not known") - (b === "not known") || a.localeCompare(b));
  state.body.replaceChildren(...names.flatMap((name) => [groupRow(name, groups.get(name).length, state.headings.length), ...groups.get(name)]));
}

function groupRow(name, count, columns) {
  const row = document.createElement("tr"), cell = document.createElement("th");
  row.className = "grouped";
  cell.colSpan = columns;
  cell.scope = "rowgroup";
  cell.textContent = `${name} (${count})`;
  row.append(cell);
  return row;
}
grouping.addEventListener("change", () => tables.filter((state) => state.rows[0]?.dataset.family !== undefined).forEach(arrange));

// Examples: data from the page, shown as text and never as markup.
const STEP = 10;
for (const block of all(".examples")) {
  const data = JSON.parse(block.querySelector("script").textContent);
  const list = block.querySelector(".list"), count = block.querySelector(".count"), more = block.querySelector(".more");
  const language = block.querySelector(".by-language"), who = block.querySelector(".by-right");
  let found = [], shown = 0;
  const right = (item, method) => item.correct[method] !== null && item.correct[method] >= 0.5;
  const tests = {
    any: () => true,
    all: (item) => item.correct.every((_, m) => right(item, m)),
    nobody: (item) => item.correct.every((_, m) => !right(item, m)),
    some: (item) => item.correct.some((_, m) => right(item, m)) && item.correct.some((_, m) => !right(item, m)),
    right: (item, m) => right(item, m),
    wrong: (item, m) => item.correct[m] !== null && !right(item, m),
    only: (item, m) => right(item, m) && item.correct.every((_, other) => other === m || !right(item, other)),
  };
  const filter = () => {
    const [test, method] = who.value.split(":");
    found = data.items.filter((item) => (language.value === "" || item.language === +language.value) && tests[test](item, +method));
    shown = 0;
    list.replaceChildren();
    extend();
  };
  const extend = () => {
    list.append(...found.slice(shown, shown + STEP).map((item) => card(item, data)));
    shown = Math.min(found.length, shown + STEP);
    count.textContent = `${shown} of ${found.length} shown`;
    more.hidden = shown >= found.length;
  };
  language.addEventListener("change", filter);
  who.addEventListener("change", filter);
  more.addEventListener("click", extend);
  filter();
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function card(item, data) {
  const language = data.languages[item.language], foreign = { dir: "auto", lang: language.tag };
  const made = element("article", undefined, { class: "example" });
  made.append(element("h3", `${language.name} · ${item.id}`));
  if (item.text) made.append(element("div", item.text, { class: "text", tabindex: "0", role: "group", "aria-label": "text of the example", ...foreign }));
  if (item.gold !== null) {
    const gold = element("p", "accepted answer: ");
    gold.append(element("b", item.gold, foreign));
    made.append(gold);
  }
  const table = element("table"), body = element("tbody");
  data.methods.forEach((method, m) => {
    const row = element("tr"), correct = item.correct[m];
    const verdict = correct === null ? "no answer" : correct === 1 ? "✓ right" : correct === 0 ? "✗ wrong" : `${(100 * correct).toFixed(1)}%`;
    row.append(element("th", method, { scope: "row" }));
    if (item.predicted[m] !== null) row.append(element("td", item.predicted[m], foreign));
    row.append(element("td", verdict, { class: correct === null ? "quiet" : correct >= 0.5 ? "right" : "wrong" }));
    body.append(row);
  });
  table.append(body);
  made.append(table);
  return made;
}
