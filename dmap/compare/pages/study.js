"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const STORE = `dmap-study-${DATA.study}-`; // and the observer's code: several people may share a browser
const $ = (id) => document.getElementById(id);

// FNV-1a with 64 bits over UTF-8, as dmap/compare/votes.py computes it.
function fnv1a(text) {
  let value = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
  }
  return value.toString(16).padStart(16, "0");
}

// mulberry32: small, seeded, and good enough for orders and sides.
function generator(text) {
  let state = Number(BigInt.asUintN(32, BigInt("0x" + fnv1a(text))));
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

// The observer's own order and sides. The trials of a group (two models, or catch trials) are spread over the session, so
// that each part of it holds as many of each; a pair that is asked twice comes early and late, with its sides swapped;
// among the others of a group the sides take turns: so each model is as often left as right.
function arrange(observer) {
  const random = generator(`${DATA.study}|${DATA.seed}|${observer}`);
  const trials = DATA.trials.map((trial) => ({ ...trial }));
  for (let i = trials.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [trials[i], trials[j]] = [trials[j], trials[i]];
  }
  const pair = (trial) => `${trial.input} ${trial.a} ${trial.b}`;
  const count = (key) => trials.reduce((all, trial) => all.set(key(trial), (all.get(key(trial)) || 0) + 1), new Map());
  const [asked, size, placed, begun] = [count(pair), count((trial) => trial.group), new Map(), new Set()];
  for (const trial of trials) {
    const place = placed.get(trial.group) || 0;
    placed.set(trial.group, place + 1);
    trial.when = (place + random()) / size.get(trial.group);
    if (asked.get(pair(trial)) > 1) trial.when = ((begun.has(pair(trial)) ? 2 : 0) + random()) / 3;
    begun.add(pair(trial));
  }
  trials.sort((one, other) => one.when - other.when);
  const before = new Map();
  for (const trial of trials) {
    const kin = asked.get(pair(trial)) > 1 ? pair(trial) : trial.group;
    const swapped = before.has(kin) ? !before.get(kin) : random() < 0.5;
    before.set(kin, swapped);
    trial.left = swapped ? trial.b : trial.a;
    trial.right = swapped ? trial.a : trial.b;
  }
  return trials;
}

let state = { observer: "", began: "", votes: [] };
let order = [];
let ready = false; // whether the current trial's images are on the screen; before that nothing is answered
let shownAt = 0;
let flickers = 0;
let side = "left";
let kept = true;
let practised = 0; // practice pairs seen; their answers are not kept
let rested = 0; // answers at the last rest

function keep() {
  try {
    localStorage.setItem(STORE + state.observer, JSON.stringify(state));
  } catch {
    kept = false;
    $("storage").classList.remove("hidden");
  }
}
function parsed(text) {
  try {
    const found = JSON.parse(text);
    return found && Array.isArray(found.votes) && typeof found.observer === "string" ? found : null;
  } catch {
    return null;
  }
}
function stored() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(STORE))
      .map((key) => parsed(localStorage.getItem(key))).filter((found) => found && found.votes.length)
      .sort((one, other) => (one.observer < other.observer ? -1 : 1));
  } catch {
    return []; // the browser keeps nothing
  }
}
function result() {
  const votes = state.votes;
  const rows = votes.map((v) => [v.trial, v.left, v.right, v.choice, v.ms].join(",")).join(";");
  return {
    format: "dmap-votes", version: 1, study: DATA.study, observer: state.observer, began: state.began,
    saved: new Date().toISOString(), screen: [window.innerWidth, window.innerHeight, window.devicePixelRatio],
    ...(DATA.consent ? { consent: true } : {}), votes, checksum: fnv1a(`${DATA.study}|${state.observer}|${rows}`),
  };
}
function save() {
  const file = new Blob([JSON.stringify(result(), null, 1)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = `votes_${DATA.study.slice(0, 8)}_${state.observer}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const three = linkZoom([...document.querySelectorAll("#panes .pane")]);
const single = linkZoom([...document.querySelectorAll("#single .pane")]);
const flickering = () => $("flicker").getAttribute("aria-pressed") === "true";
const zoom = () => (flickering() ? single : three);

// Practice first; after a reload it is not asked for again.
const practising = () => state.votes.length === 0 && practised < DATA.practice.length;
function current() {
  const practice = DATA.practice[practised];
  return practising() ? { ...practice, left: practice.a, right: practice.b } : order[state.votes.length];
}
function screen(name) {
  for (const id of ["start", "trial", "rest", "end"]) $(id).classList.toggle("hidden", id !== name);
}
function flickerTo(which) {
  const trial = current();
  if (!trial) return;
  side = which;
  const name = { left: "Left", right: "Right", input: "The photograph" }[which];
  $("flickered").src = DATA.images[trial[which]];
  $("flickered").alt = name;
  $("shown").textContent = name;
}
function setFlicker(on) {
  $("flicker").setAttribute("aria-pressed", String(on));
  $("flicker-input").classList.toggle("hidden", !on);
  $("panes").classList.toggle("hidden", on);
  $("single").classList.toggle("hidden", !on);
  if (on) {
    flickers += 1;
    flickerTo("left");
  }
  zoom().refresh();
}
// An image pixel as a whole number of the screen's, where there is room; what is shown is said.
function fit(width, height) {
  const dots = window.devicePixelRatio || 1;
  const room = Math.min($("left").clientWidth / width, (0.66 * window.innerHeight) / height) * dots;
  const factor = room >= 1 ? Math.floor(room) : room;
  document.body.style.setProperty("--shown", `${(width * factor) / dots}px`);
  $("panes").classList.toggle("whole", factor >= 1);
  $("scale").textContent = factor < 1 ? `Reduced to ${Math.round(100 * factor)} % to fit; zoom in for its own pixels.`
    : factor === 1 ? "Shown at its own pixels." : `Each pixel shown as ${factor} by ${factor}.`;
  return factor;
}
let factor = 1;
let size = null;
window.addEventListener("resize", () => {
  if (size) factor = fit(...size);
});

async function show() {
  const due = DATA.breaks && state.votes.length && state.votes.length % DATA.breaks === 0 && rested !== state.votes.length;
  if (due && state.votes.length < order.length) {
    ready = false;
    rested = state.votes.length;
    $("rest-text").textContent = `${state.votes.length} of ${order.length} answered. Look into the distance for a minute.`;
    screen("rest");
    $("go-on").focus();
    return;
  }
  const trial = current();
  ready = false;
  if (!trial) {
    $("text").value = JSON.stringify(result());
    screen("end");
    $("save").focus();
    return;
  }
  screen("trial");
  $("trial").setAttribute("aria-busy", "true");
  $("question").textContent = DATA.question;
  $("count").textContent = practising() ? `Practice ${practised + 1} of ${DATA.practice.length}, does not count`
    : `${state.votes.length + 1} of ${order.length}`;
  $("progress").max = order.length;
  $("progress").value = state.votes.length;
  $("undo").disabled = state.votes.length === 0;
  const images = ["left", "input", "right"].map((which) => {
    const image = document.querySelector(`#${which} img`);
    image.src = DATA.images[trial[which]];
    return image;
  });
  flickers = 0;
  three.reset();
  single.reset();
  setFlicker(false);
  await Promise.all(images.map((image) => image.decode().catch(() => {})));
  if (trial.id !== current()?.id || trial.left !== current().left) return; // undone or answered meanwhile: a later call shows what counts now
  const { naturalWidth: width, naturalHeight: height } = images[1];
  document.body.style.setProperty("--shape", `${width} / ${height}`);
  document.body.style.setProperty("--ratio", String(width / height));
  size = [width, height];
  factor = fit(width, height);
  zoom().refresh();
  shownAt = performance.now();
  ready = true;
  $("trial").setAttribute("aria-busy", "false");
}
function vote(choice) {
  const trial = current();
  if (!trial || !ready || (choice === "tie" && !DATA.ties)) return;
  if (practising()) {
    practised += 1;
    show();
    return;
  }
  state.votes.push({
    trial: trial.id, left: trial.left, right: trial.right, choice, ms: Math.round(performance.now() - shownAt),
    flickers, zoom: Number(zoom().scale.toFixed(2)), factor: Number(factor.toFixed(3)), at: new Date().toISOString(),
  });
  keep();
  show();
}
function undo() {
  if (!state.votes.length) return;
  state.votes.pop();
  keep();
  show();
}
// Begin, or go on where this observer stopped; answers that do not fit the order are not taken over.
function begin(observer) {
  const found = stored().find((one) => one.observer === observer);
  state = found || { observer, began: new Date().toISOString(), votes: [] };
  order = arrange(observer);
  const wrong = state.votes.findIndex((vote, index) => vote?.trial !== order[index]?.id);
  if (wrong >= 0) state.votes.length = wrong;
  keep();
  show();
}

$("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  begin($("observer").value);
});
// The same observer in another tab: both go on from the later answers.
window.addEventListener("storage", (event) => {
  if (!state.observer || event.key !== STORE + state.observer || !parsed(event.newValue)) return;
  state = parsed(event.newValue);
  show();
});
$("choose-left").addEventListener("click", () => vote("left"));
$("choose-right").addEventListener("click", () => vote("right"));
$("choose-tie").addEventListener("click", () => vote("tie"));
$("choose-tie").classList.toggle("hidden", !DATA.ties);
$("go-on").addEventListener("click", show);
$("consent").classList.toggle("hidden", !DATA.consent);
$("consent-text").textContent = DATA.consent;
$("agreed").required = Boolean(DATA.consent);
$("flicker").addEventListener("click", () => setFlicker(!flickering()));
$("flicker-input").addEventListener("click", () => flickerTo("input"));
$("zoom-in").addEventListener("click", () => zoom().by(2));
$("zoom-out").addEventListener("click", () => zoom().by(0.5));
$("zoom-reset").addEventListener("click", () => zoom().reset());
$("undo").addEventListener("click", undo);
$("back").addEventListener("click", undo);
$("save").addEventListener("click", save);
$("save-now").addEventListener("click", save);
document.querySelector("#single .pane").addEventListener("click", () => {
  if (!single.moved) flickerTo(side === "left" ? "right" : "left");
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if ($("trial").classList.contains("hidden") || event.target.matches("input, textarea")) return;
  const arrows = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
  const actions = {
    1: () => vote("left"), 2: () => vote("right"), 3: () => vote("tie"), f: () => setFlicker(!flickering()),
    i: () => flickering() && flickerTo("input"), "+": () => zoom().by(2), "=": () => zoom().by(2),
    "-": () => zoom().by(0.5), 0: () => zoom().reset(), Backspace: undo,
  };
  const action = actions[event.key.toLowerCase()] || actions[event.key];
  if (event.key === " " && flickering()) {
    event.preventDefault();
    flickerTo(side === "left" ? "right" : "left");
  } else if (arrows[event.key]) {
    event.preventDefault();
    zoom().pan(...arrows[event.key]);
  } else if (action) {
    event.preventDefault();
    action();
  }
});
window.addEventListener("beforeunload", (event) => {
  if (!kept && state.votes.length) event.preventDefault();
});

const before = stored();
if (before.length) {
  const buttons = before.map((found) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "primary resume";
    button.textContent = `Go on as ${found.observer} (${found.votes.length} answered)`;
    button.addEventListener("click", () => begin(found.observer));
    return button;
  });
  $("resumable").append("Begun in this browser already: ", ...buttons);
  $("resumable").classList.remove("hidden");
}
try {
  localStorage.setItem(STORE, "");
  localStorage.removeItem(STORE);
} catch {
  kept = false;
  $("storage").classList.remove("hidden");
}
