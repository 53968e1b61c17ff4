// Sorting by a heading. Without JavaScript the tables are complete, in the order of the file.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    if (!heading.dataset.order) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => sort(heading, column));
  });

  function sort(heading, column) {
    const numeric = heading.dataset.order === "number";
    const before = heading.getAttribute("aria-sort");
    const falling = before ? before === "ascending" : numeric;  // figures start with the highest
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.sort;
    const compare = (a, b) => (numeric ? a - b : a.localeCompare(b)) * (falling ? -1 : 1);
    const rows = [...body.rows].sort((x, y) => {
      const a = value(x), b = value(y);
      if (a === "" || b === "") return (a === "") - (b === "");  // what is absent comes last either way
      return compare(a, b);
    });
    body.append(...rows);
  }
}
