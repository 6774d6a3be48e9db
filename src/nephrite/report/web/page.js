"use strict";
// Tables that sort, and a slider through the slices of a patient. Nothing is fetched; without this file the page still reads.

const SVG = "http://www.w3.org/2000/svg";

function made(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function drawn(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// ---- tables

// the first number of a cell; NaN where it begins with a word
function numberOf(text) {
  const found = /^[<>\s]*([-+]?\d[\d,]*\.?\d*)/.exec(text);
  return found ? parseFloat(found[1].replaceAll(",", "")) : NaN;
}

function compare(first, second) {
  const [a, b] = [numberOf(first), numberOf(second)];
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return first.localeCompare(second, "en", { numeric: true });
}

function sortBy(table, column) {
  closeViewer(table);
  if (table.previousElementSibling?.matches("button.all")) unfold(table);
  const heads = [...table.tHead.rows[0].cells];
  const order = heads[column].getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => sign * compare(a.cells[column].textContent.trim(), b.cells[column].textContent.trim()));
  table.tBodies[0].append(...rows);
}

function makeSortable(table) {
  if (!table.tHead || !table.tBodies[0] || table.tBodies[0].rows.length < 2) return;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = made("button", { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, column));
  });
}

// ---- slices

const ARMS = ["truth", "without", "with"];
const hidden = new Set();  // outlines that are switched off, for all patients

function closeViewer(table) {
  const open = table.querySelector("tr.slices");
  if (!open) return null;
  const button = open.previousElementSibling.querySelector("button.open");
  button.setAttribute("aria-expanded", "false");
  open.remove();
  return button;
}

// what stands in a slice, in words
function said(data, place) {
  const slice = data.slices[place];
  const areas = ARMS.map((arm, index) => `${data.names[index]} ${slice.areas[index]} ${data.unit}`);
  return `slice ${slice.number} of ${data.count}: ${areas.join(", ")}`;
}

function makeViewer(data, close) {
  const [height, width] = data.size, [tall, wide] = data.spacing;
  const picture = drawn("svg", { class: "slice", role: "img", viewBox: `0 0 ${width * wide} ${height * tall}` });
  const image = drawn("image", { width, height, preserveAspectRatio: "none" });
  const paths = ARMS.map((arm) => drawn("path", { class: arm, transform: "scale(.5)" }));
  picture.append(drawn("g", { transform: `scale(${wide} ${tall})` }, image, ...paths));

  const last = data.slices.length - 1;
  const slider = made("input", { type: "range", min: 0, max: last, step: 1, "aria-label": `Slice of ${data.patient}` });
  const words = made("p", { "aria-hidden": "true" });
  const move = (place) => {
    const at = Math.max(0, Math.min(last, place));
    slider.value = at;
    image.setAttribute("href", data.slices[at].image);
    paths.forEach((path, index) => path.setAttribute("d", data.slices[at].outlines[index]));
    const text = said(data, at);
    slider.setAttribute("aria-valuetext", text);
    picture.setAttribute("aria-label", `${data.patient}, ${text}`);
    words.textContent = text[0].toUpperCase() + text.slice(1);
  };
  const by = (steps) => move(Number(slider.value) + steps);
  slider.addEventListener("input", () => move(Number(slider.value)));

  // wheel and swipe: a notch or a tenth of the picture's width is a slice
  picture.addEventListener("wheel", (event) => {
    const to = Number(slider.value) + Math.sign(event.deltaY);
    if (event.ctrlKey || !event.deltaY || to < 0 || to > last) return;  // at the ends the page scrolls on
    event.preventDefault();
    move(to);
  }, { passive: false });
  let start = null;
  picture.addEventListener("pointerdown", (event) => {
    start = { x: event.clientX, at: Number(slider.value) };
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", (event) => {
    if (start) move(start.at + Math.round((event.clientX - start.x) / (picture.clientWidth / Math.max(10, last + 1))));
  });
  for (const end of ["pointerup", "pointercancel"]) picture.addEventListener(end, () => { start = null; });

  // legend, which switches outlines off
  const legend = made("fieldset", {}, made("legend", {}, "Outlines"));
  ARMS.forEach((arm, index) => {
    const box = made("input", { type: "checkbox" });
    box.checked = !hidden.has(arm);
    const show = () => { paths[index].style.display = box.checked ? "" : "none"; };
    box.addEventListener("change", () => { hidden[box.checked ? "delete" : "add"](arm); show(); });
    show();
    const sample = drawn("svg", { viewBox: "0 0 48 18", "aria-hidden": "true" }, drawn("path", { class: arm, d: "M4 9H44" }));
    legend.append(made("label", {}, box, sample, data.names[index]));
  });

  const previous = made("button", { type: "button", "aria-label": "Previous slice" }, "\u2190");
  const next = made("button", { type: "button", "aria-label": "Next slice" }, "\u2192");
  previous.addEventListener("click", () => by(-1));
  next.addEventListener("click", () => by(1));
  const shut = made("button", { type: "button", class: "close" }, "Close");
  shut.addEventListener("click", close);
  const side = made("div", {}, legend, made("p", {}, data.note), words, slider,
    made("div", { class: "step" }, previous, next, shut));
  const viewer = made("section", { class: "viewer", "aria-label": `Slices of ${data.patient}` }, picture, side);
  viewer.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  move(data.start);
  return { viewer, slider };
}

function makeOpenable(table, patients) {
  const columns = table.tHead.rows[0].cells.length;
  for (const row of table.tBodies[0].rows) {
    const source = patients.get(row.cells[0].textContent.trim());
    if (!source) continue;
    const button = made("button", { type: "button", class: "open", "aria-expanded": "false" });
    button.append(...row.cells[0].childNodes);
    row.cells[0].append(button);
    row.classList.add("opens");
    row.addEventListener("click", () => {
      const expanded = button.getAttribute("aria-expanded") === "true";
      closeViewer(table);
      if (expanded) return;
      const close = () => closeViewer(table)?.focus();
      const { viewer, slider } = makeViewer(JSON.parse(source.textContent), close);
      const cell = made("td", { class: "detail", colspan: columns, role: "cell" }, viewer);
      row.after(made("tr", { class: "slices", role: "row" }, cell));
      button.setAttribute("aria-expanded", "true");
      slider.focus({ preventScroll: true });
      viewer.scrollIntoView({ block: "nearest" });
    });
  }
}

// ---- long lists: both ends and what is marked, until all are asked for

const LONG = 30, ENDS = 8;

function unfold(table) {
  for (const row of table.tBodies[0].rows) row.classList.remove("folded");
  table.previousElementSibling.remove();
}

function fold(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length <= LONG) return;
  rows.forEach((row, place) => {
    const marked = row.lastElementChild.textContent.trim() !== "";
    if (!marked && place >= ENDS && place < rows.length - ENDS) row.classList.add("folded");
  });
  const button = made("button", { type: "button", class: "all" }, `Show all ${rows.length} patients`);
  button.addEventListener("click", () => { unfold(table); rows[ENDS].querySelector("button")?.focus(); });
  table.before(button);
}

const patients = new Map();
for (const script of document.querySelectorAll("script[data-patient]")) patients.set(script.dataset.patient, script);
for (const table of document.querySelectorAll("table")) makeSortable(table);
const listed = document.querySelector("#patients ~ table");
if (listed) {
  makeOpenable(listed, patients);
  fold(listed);
}
