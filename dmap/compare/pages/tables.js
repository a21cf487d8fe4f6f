"use strict";
// The page's data; numbers as text, elements and tables; heat-coloured cells.
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const signed = (value, digits = 1) =>
  value === null || value === undefined ? "–" : (value > 0 ? "+" : "") + value.toFixed(digits).replace("-", "−");
const plusMinus = (value, digits = 1) => (value === null || value === undefined ? "" : ` ±${value.toFixed(digits)}`);
const chance = (value) => (value < 0.001 ? "< 0.001" : value.toFixed(3));
// A measure against the undegraded photograph, and how it changed from the start.
const measured = (name) => `${name.replace("_", "-").toUpperCase()} to undegraded`;
const resembled = (name) => `${name.replace("photograph_", "").toUpperCase()} to the photograph`;
const change = (name, value) => signed(value, name === "psnr" ? 2 : 3);

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// A table of texts and elements; the first cell of a row is its heading.
function fill(table, head, rows, caption) {
  const cell = (value) => (value instanceof HTMLTableCellElement ? value : make("td", {}, value));
  table.replaceChildren(
    ...(caption ? [make("caption", {}, caption)] : []),
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows.map(([first, ...rest]) =>
      make("tr", {}, make("th", { scope: "row" }, first), ...rest.map(cell)))),
  );
}
const text = (value) => make("td", { class: "text" }, String(value));

// From blue (below) over white to orange (above); readable in grey as well.
function heat(share) {
  const [from, to] = share < 0 ? [[255, 255, 255], [33, 102, 172]] : [[255, 255, 255], [200, 90, 10]];
  const amount = Math.min(1, Math.abs(share));
  return from.map((value, index) => Math.round(value + (to[index] - value) * amount));
}
function heated(value, error, largest, centre, own, digits = 1) {
  const cell = make("td", { class: `heat ${own}` });
  if (value === null) return make("td", {}, "–");
  const rgb = heat((value - centre) / (largest || 1));
  cell.style.background = `rgb(${rgb.join(" ")})`;
  const light = (0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]) / 255;
  cell.classList.toggle("dark", light < 0.45);
  cell.append(centre === 0 ? signed(value, digits) : number(value, digits), make("small", {}, plusMinus(error, digits)));
  return cell;
}
