// Sorts tables, searches the page, copies commands. Everything is there without it.
"use strict";
(() => {
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const SIZES = { kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };

  // What a cell is sorted by: its number, if it begins with one, else its words; a dash is less than any number.
  const key = (cell) => {
    const text = (cell ? cell.textContent : "").trim();
    const found = /^([-+]?[\d,]*\.?\d+)(?: ?(kB|MB|GB|TB))?/.exec(text);
    if (found) return Number(found[1].replace(/,/g, "")) * (SIZES[found[2]] || 1);
    return text === "–" ? -Infinity : text.toLowerCase();
  };
  const compare = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);

  for (const head of all("thead th")) {
    const table = head.closest("table");
    const body = table.tBodies[0];
    if (!head.textContent.trim() || body.rows.length < 2) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const at = head.cellIndex;
      const rows = [...body.rows].map((row) => [key(row.cells[at]), row]);
      rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
      body.append(...rows.map((pair) => pair[1]));
    });
  }

  const box = document.querySelector(".search");
  if (box) {
    box.hidden = false;
    const said = box.querySelector("[role=status]");
    const parts = all("main section:not(.verdict)").map((section) => [section, all("tbody tr, li, article.example, dl > div", section)]);
    const folded = all("main details");
    const wasOpen = folded.map((one) => one.open);
    box.querySelector("input").addEventListener("input", (event) => {
      const asked = event.target.value.trim().toLowerCase();
      let found = 0;
      for (const [section, items] of parts) {
        const title = section.querySelector("h2");
        const whole = title && title.textContent.toLowerCase().includes(asked);
        let here = 0;
        for (const item of items) {
          const hit = !asked || whole || item.textContent.toLowerCase().includes(asked);
          item.hidden = !hit;
          here += hit;
        }
        const hit = !asked || whole || here || (!items.length && section.textContent.toLowerCase().includes(asked));
        section.hidden = !hit;
        found += here;
      }
      folded.forEach((one, i) => { one.open = asked ? Boolean(one.querySelector("tr:not([hidden]), li:not([hidden])")) : wasOpen[i]; });
      said.textContent = asked ? `${found} found` : "";
    });
  }

  for (const command of all("pre.command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    command.parentNode.append(button);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command.textContent.trim());
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(command);
        button.textContent = "Selected";
      }
    });
  }
})();
