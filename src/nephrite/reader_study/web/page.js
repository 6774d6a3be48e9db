"use strict";
// One slice at a time. What is real and what is synthetic is known to the server alone; each answer is kept before the next slice comes.

const CHOICES = ["Definitely real", "Probably real", "Probably synthetic", "Definitely synthetic"];
const ZOOMS = [1, 2, 4];
const part = (id) => document.getElementById(id);
const choices = document.querySelector(".choices");
const state = { reader: "", ratings: [], place: 0, shown: null, zoom: 0 };  // shown: when the slice came; null until then

function show(section) {
  for (const id of ["begin", "read", "end"]) part(id).hidden = id !== section;
}

function complain(text) {
  part("problem").textContent = text;
  part("problem").hidden = !text;
}

async function tell(address, content) {
  let answer, said;
  try {
    answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
    said = await answer.json();
  } catch {
    throw new Error("The study does not answer. Start it again, and open the address that it prints; what you answered is kept.");
  }
  if (!answer.ok) throw new Error(said.error);
  return said;
}

// ---- who reads

async function begin(name) {
  try {
    const session = await tell("session", { reader: name });
    [state.reader, state.ratings] = [session.reader, session.ratings];
    complain("");
  } catch (error) {
    show("begin");
    part("reader").value = name;
    complain(error.message);
    return;
  }
  history.replaceState(null, "", `#${state.reader}`);  // so that a reload goes on
  const first = state.ratings.indexOf(null);
  move(first < 0 ? state.ratings.length : first);
}

// ---- slices

function move(place) {
  const count = state.ratings.length;
  state.place = Math.max(0, Math.min(count, place));
  state.shown = null;
  const judged = state.ratings.filter((rating) => rating !== null).length;
  if (state.place === count) {
    show("end");
    document.querySelector("#end h1").focus();
    return;
  }
  show("read");
  const words = `Slice ${state.place + 1} of ${count}`;
  part("place").textContent = words;
  part("done").max = count;
  part("done").value = judged;
  part("slice").alt = `${words}, to be judged`;
  part("slice").src = `slices/${state.reader}/${state.place}`;
  zoom(0);
  update();
}

function update() {
  const rating = state.ratings[state.place];
  [...choices.children].forEach((button, index) => {
    button.setAttribute("aria-pressed", String(rating === index + 1));
  });
  part("frame").setAttribute("aria-busy", String(state.shown === null));
  part("back").disabled = state.place === 0;
  part("on").disabled = rating === null;
}

async function choose(rating) {
  if (state.shown === null) return;
  const seconds = Math.min(1e6, Math.round((performance.now() - state.shown) / 100) / 10);
  const place = state.place;
  state.shown = null;  // a second key is no second answer
  update();
  try {
    state.ratings = (await tell("answers", { reader: state.reader, place, rating, seconds })).ratings;
    complain("");
    move(place + 1);
  } catch (error) {
    complain(`Not kept: ${error.message}`);
    state.shown = performance.now();
    update();
  }
}

function zoom(level) {
  state.zoom = Math.max(0, Math.min(ZOOMS.length - 1, level));
  const frame = part("frame"), before = frame.scrollWidth;
  const middle = [(frame.scrollLeft + frame.clientWidth / 2) / before, (frame.scrollTop + frame.clientHeight / 2) / before];
  frame.dataset.zoom = ZOOMS[state.zoom];
  frame.scrollLeft = middle[0] * frame.scrollWidth - frame.clientWidth / 2;
  frame.scrollTop = middle[1] * frame.scrollWidth - frame.clientHeight / 2;
  part("larger").disabled = state.zoom === ZOOMS.length - 1;
  part("smaller").disabled = state.zoom === 0;
}

// ---- buttons and keys

CHOICES.forEach((words, index) => {
  const button = document.createElement("button"), key = document.createElement("kbd");
  button.type = "button";
  key.textContent = index + 1;
  button.append(words, key);
  button.addEventListener("click", () => choose(index + 1));
  choices.append(button);
});
const back = () => move(state.place - 1);
const on = () => { if (state.ratings[state.place] != null) move(state.place + 1); };
const actions = {
  1: () => choose(1), 2: () => choose(2), 3: () => choose(3), 4: () => choose(4),
  ArrowLeft: back, ArrowRight: on, "+": () => zoom(state.zoom + 1), "=": () => zoom(state.zoom + 1), "-": () => zoom(state.zoom - 1), 0: () => zoom(0),
};
part("back").addEventListener("click", back);
part("on").addEventListener("click", on);
part("again").addEventListener("click", back);
part("larger").addEventListener("click", () => zoom(state.zoom + 1));
part("smaller").addEventListener("click", () => zoom(state.zoom - 1));
part("slice").addEventListener("load", () => { state.shown = performance.now(); update(); });
part("slice").addEventListener("error", () => complain("The slice did not come. Reload the page; what you answered is kept."));
part("who").addEventListener("submit", (event) => { event.preventDefault(); begin(part("reader").value); });
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || part("read").hidden) return;
  const scrolls = state.zoom > 0 && document.activeElement === part("frame");  // arrows then move the enlarged slice
  if (!(event.key in actions) || (scrolls && event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  actions[event.key]();
});

const named = decodeURIComponent(location.hash.slice(1));
if (named) begin(named);
else { show("begin"); part("reader").focus(); }
