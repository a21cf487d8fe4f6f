"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const signed = (value, digits = 1) =>
  value === null || value === undefined ? "–" : (value > 0 ? "+" : "") + value.toFixed(digits).replace("-", "−");
const plusMinus = (value) => (value === null || value === undefined ? "" : ` ±${value.toFixed(1)}`);

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
function heated(value, error, largest, centre, own) {
  const cell = make("td", { class: `heat ${own}` });
  if (value === null) return make("td", {}, "–");
  const rgb = heat((value - centre) / (largest || 1));
  cell.style.background = `rgb(${rgb.join(" ")})`;
  const light = (0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]) / 255;
  cell.classList.toggle("dark", light < 0.45);
  cell.append(centre === 0 ? signed(value) : number(value), make("small", {}, plusMinus(error)));
  return cell;
}

// Framed: the model itself; dashed: a judge that shares a network with it.
const kin = (row, column) => (DATA.models[row] === DATA.judges[column] ? "own" : DATA.related[row][column] ? "kin" : "");

const chosen = { degradation: null, level: null, kind: "gains" };
function group() {
  return DATA.groups.find((one) => one.degradation === chosen.degradation && one.level === chosen.level) || DATA.groups[0];
}

function drawMatrix() {
  const found = group()[chosen.kind];
  const known = found.mean.flat().filter((value) => value !== null);
  const centre = chosen.kind === "gains" ? 0 : 50;
  const largest = Math.max(1, ...known.map((value) => Math.abs(value - centre)));
  const rows = DATA.models.map((model, row) => [
    model,
    ...DATA.judges.map((_, column) =>
      heated(found.mean[row][column], found.error[row][column], largest, centre, kin(row, column))),
  ]);
  if (chosen.kind === "scores" && group().start) {
    rows.unshift(["(start)", ...group().start.map((value) => heated(value, null, largest, centre, ""))]);
  }
  fill($("cross"), ["optimised by ↓  judged by →", ...DATA.judges], rows,
    chosen.kind === "gains" ? "Mean gain over the start, in points" : "Mean score, 0 to 100, higher is better");
}

function drawGroup() {
  const found = group();
  $("scope").textContent = found.conditions
    ? `${found.conditions} starts of ${found.photographs} photographs, all models at the same fidelity`
    : "no start at which all models reached the same fidelity";
  const empty = found.conditions === 0;
  for (const id of ["cross", "scatter", "excess", "attack", "standing"]) $(id).replaceChildren();
  if (empty) return;
  drawMatrix();
  scatter($("scatter"), DATA.models, found.own, found.others);
  const largest = Math.max(1, ...found.excess.mean.flat().filter((value) => value !== null).map(Math.abs));
  fill($("excess"), ["outputs of ↓  judge →", ...DATA.judges], DATA.models.map((model, row) => [
    model,
    ...DATA.judges.map((_, column) =>
      heated(found.excess.mean[row][column], found.excess.error[row][column], largest, 0, kin(row, column))),
  ]), "Gain that the other judges do not confirm, in points");
  drawAttack(found);
  const measures = Object.keys(found.measures).filter((name) => found.measures[name].some((value) => value !== null));
  fill($("standing"), ["model", "own gain", "others' mean gain", "unconfirmed", "for each 0.01 of distance",
    ...measures.map((name) => `${name.replace("_", "-").toUpperCase()} to undegraded`)],
  DATA.models.map((model, index) => [
    model,
    ...["own", "others", "fooled", "cost"].map((name) =>
      make("td", {}, signed(found[name].mean[index]), make("small", {}, plusMinus(found[name].error[index])))),
    ...measures.map((name) => signed(found.measures[name][index], name === "psnr" ? 2 : 3)),
  ]), "Standing of the models");
}

function drawAttack(found) {
  const levels = [...new Set(DATA.groups.map((one) => one.level).filter((one) => one !== null))].sort((a, b) => a - b);
  const at = (level) => DATA.groups.find((one) => one.level === level && one.degradation === chosen.degradation);
  if (levels.length > 1 && chosen.level === null) {
    const series = DATA.models.map((name, index) => ({
      name, points: levels.map((level) => [level, at(level)?.fooled.mean[index]]).filter((point) => point[1] !== null
        && point[1] !== undefined),
    }));
    lines($("attack"), "Unconfirmed gain over the distance", "fidelity level (distance beyond the start)",
      "unconfirmed gain, points", series);
    legend($("attack"), DATA.models);
    return;
  }
  const { mean, error } = found.cost;
  const spread = (sign) => mean.map((value, index) => value + sign * (error[index] || 0));
  dots($("attack"), "Unconfirmed points for each 0.01 of distance", "unconfirmed points for each 0.01 of distance",
    DATA.models, mean, spread(-1), spread(1));
}

function findings() {
  const all = DATA.groups[0];
  const items = [];
  if (all.conditions && all.others.mean.every((value) => value !== null)) {
    const order = [...DATA.models.keys()].sort((a, b) => all.others.mean[b] - all.others.mean[a]);
    const best = order[0];
    items.push(`The outputs of ${DATA.models[best]} please the unrelated judges most: ${signed(all.others.mean[best])}` +
      `${plusMinus(all.others.error[best])} points on average.`);
    const worst = [...DATA.models.keys()].sort((a, b) => all.fooled.mean[b] - all.fooled.mean[a])[0];
    items.push(`${DATA.models[worst]} is fooled most: ${number(all.fooled.mean[worst])} points of its gain of ` +
      `${number(all.own.mean[worst])} are confirmed by nobody.`);
    const falls = order.filter((index) => all.others.mean[index] < 0).map((index) => DATA.models[index]);
    if (falls.length) items.push(`By the unrelated judges' mean, the outputs of ${falls.join(", ")} are worse than the start.`);
    if (all.photographs < 10) {
      items.push(`With ${all.photographs} photographs the standard errors are rough; differences within them say nothing.`);
    }
  } else if (all.conditions) {
    items.push("A model has no judge that shares no network with it, so nothing can be confirmed or denied: add judges.");
  } else {
    items.push("No start was brought to the same fidelity by all models, so nothing can be compared: see the record.");
  }
  if (DATA.unmatched.length) {
    items.push(`${DATA.unmatched.length} starts are left out of the figures, because a model is not at the wanted fidelity.`);
  }
  if (DATA.skipped.length) items.push(`${DATA.skipped.length} photographs could not be used; they are listed in the record.`);
  $("findings").replaceChildren(...items.map((item) => make("li", {}, item)));
  const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  $("lead").textContent = `${many(DATA.photographs.length, "photograph")}, ` +
    `${many(DATA.plan.degradations.length, "degradation")}, ${many(DATA.plan.levels.length, "fidelity level")}, ` +
    `${many(DATA.models.length, "model")} climbed and ${many(DATA.judges.length, "judge")}. Every ascent had the same start, ` +
    `${DATA.plan.iterations} iterations and the same step rule; the prior weight was searched for each so that outputs are ` +
    `equally far from the photograph, within ${DATA.plan.tolerance * 100} % of the level.`;
}

function drawPairs() {
  const cards = DATA.pairs.map((pair) => {
    const row = DATA.sheet[pair.row];
    const [first, second] = [row.images[2 + pair.first], row.images[2 + pair.second]];
    const scores = (judge) => `${number(first.scores[judge])} : ${number(second.scores[judge])}`;
    return make("article", { class: "card" },
      make("div", { class: "images" }, thumb(pair.row, 2 + pair.first), thumb(pair.row, 2 + pair.second)),
      make("p", {}, `${DATA.judges[pair.judge_first]} prefers the first (${scores(pair.judge_first)}), ` +
        `${DATA.judges[pair.judge_second]} the second (${scores(pair.judge_second)}).`),
      make("p", { class: "faint" }, `${row.photograph}, ${row.degradation}`));
  });
  $("pairs").replaceChildren(...(cards.length ? cards : [make("p", {}, "No two judges disagree on any pair.")]));
}

function thumb(place, index) {
  const image = DATA.sheet[place].images[index];
  if (!image.src) return make("div", { class: "thumb" }, make("span", {}, `${image.label}: not finished`));
  const note = image.matched === false ? make("span", { class: "missed" }, "fidelity missed") : null;
  const button = make("button", { type: "button", class: "thumb" },
    make("img", { src: image.src, alt: "", decoding: "async" }), make("span", {}, image.label), note);
  button.setAttribute("aria-label", `${image.label}, ${DATA.sheet[place].photograph}: look closely`);
  button.addEventListener("click", () => openViewer(place, index));
  return button;
}
function drawSheet() {
  $("sheet").replaceChildren(...DATA.sheet.flatMap((row, place) => [
    make("h3", { class: "sheet-title" }, `${row.photograph}, ${row.degradation}, level ${row.level}` +
      (row.matched ? "" : " (left out of the figures)")),
    make("div", { class: "strip" }, ...row.images.map((_, index) => thumb(place, index))),
  ]));
}

const viewer = { row: 0, index: 0, zoom: linkZoom([document.querySelector("#viewer .pane")]) };
function showVersion(index) {
  const row = DATA.sheet[viewer.row];
  viewer.index = index;
  const image = row.images[index];
  $("viewer-title").textContent = `${image.label} · ${row.photograph}, ${row.degradation}`;
  $("viewer-image").src = image.src;
  $("viewer-image").alt = `${image.label}, ${row.photograph}`;
  const scores = image.scores ? DATA.judges.map((judge, j) => `${judge} ${number(image.scores[j])}`).join(" · ") : "";
  const facts = image.distance === undefined ? "" : ` · D ${image.distance}, prior weight ${image.weight.toPrecision(3)}`;
  $("viewer-scores").textContent = scores + facts;
  for (const button of $("viewer-versions").children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.index) === index));
  }
  viewer.zoom.refresh();
}
function openViewer(place, index) {
  viewer.row = place;
  $("viewer-versions").replaceChildren(...DATA.sheet[place].images.flatMap((image, number) => {
    if (!image.src) return [];
    const button = make("button", { type: "button", "data-index": number }, image.label);
    button.addEventListener("click", () => showVersion(number));
    return [button];
  }));
  $("viewer").showModal();
  viewer.zoom.reset();
  showVersion(index);
}
function step(by) {
  const images = DATA.sheet[viewer.row].images;
  let next = viewer.index;
  do next = (next + by + images.length) % images.length; while (!images[next].src);
  showVersion(next);
}
$("viewer").addEventListener("keydown", (event) => {
  const action = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), "+": () => viewer.zoom.by(2),
    "=": () => viewer.zoom.by(2), "-": () => viewer.zoom.by(0.5), 0: () => viewer.zoom.reset() }[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
});
$("viewer-close").addEventListener("click", () => $("viewer").close());
$("viewer-in").addEventListener("click", () => viewer.zoom.by(2));
$("viewer-out").addEventListener("click", () => viewer.zoom.by(0.5));
$("viewer-whole").addEventListener("click", () => viewer.zoom.reset());

function drawPeople(found) {
  $("people").classList.remove("hidden");
  const { overall } = found;
  const votes = found.observers.reduce((sum, one) => sum + one.votes, 0);
  $("people-lead").textContent = `Observers: ${found.observers.length}; votes: ${votes}, on pairs chosen by the ` +
    `${found.strategy} strategy. ` + (found.agreement === null ? "No pair was seen by two observers. "
      : `Agreement between observers (Krippendorff's alpha): ${number(found.agreement, 2)}. `) +
    `Intervals by resampling ${found.resampled}.` +
    (overall.connected ? "" : " Not all models met, even by way of others: their order means nothing.");
  dots($("ranking"), "Strength of the models by people's votes", "strength, log odds", overall.models, overall.strengths,
    overall.low, overall.high);
  const kinds = [["all", overall], ...Object.entries(found.degradations)];
  fill($("rankings"), ["degradation", "place", "model", "strength", "95 % interval", "votes"],
    kinds.flatMap(([kind, one]) => one.models.map((name, index) => [kind, String(index + 1), text(name),
      signed(one.strengths[index], 2), `${signed(one.low[index], 2)} to ${signed(one.high[index], 2)}`,
      String(one.votes[index])])), "Rankings by degradation");
  const problems = found.problems.map((one) => `${one.file}: ${one.text}${one.used ? "" : " (not used)"}`);
  $("problems").replaceChildren(...(problems.length ? problems : ["None."]).map((one) => make("li", {}, one)));
}
function drawPower(found) {
  $("votes").classList.remove("hidden");
  const follows = [...new Set(found.map((one) => one.follows))];
  const of = (strategy, follow) => found.filter((one) => one.strategy === strategy && one.follows === follow);
  const series = follows.flatMap((follow, index) => ["debiased", "random"].map((strategy) => ({
    name: `${strategy}, follows ${follow}`, colour: index, dash: strategy === "random",
    points: of(strategy, follow).map((one) => [one.votes, one.right]),
  })));
  lines($("power"), "Share of model pairs in the right order", "votes", "right order", series,
    { logX: true, y: { low: 0.5, high: 1.02 } });
  legend($("power"), follows.map((follow) => `follows ${follow} (solid: debiased, dashed: random)`));
  const needed = (strategy, follow) => of(strategy, follow).find((one) => one.right >= 0.9)?.votes ?? "more than simulated";
  fill($("power-table"), ["follows", "debiased", "random"], follows.map((follow) =>
    [String(follow), String(needed("debiased", follow)), String(needed("random", follow))]),
  "Votes until 90 % of the model pairs are in the right order");
}
function drawMixture(found) {
  $("mixture").classList.remove("hidden");
  $("mixture-lead").textContent = found.verdict;
  fill($("mixture-table"), ["prior", "judges' mean gain", "mixture less this", "95 % interval"],
    found.rows.map((row) => [row.name, signed(row.gain), row.difference === null ? "–" : signed(row.difference),
      row.difference === null ? "–" : `${signed(row.low)} to ${signed(row.high)}`]),
    `On ${found.photographs} held-out photographs; ${found.judging}`);
}

function record() {
  const flat = (value) => (Array.isArray(value) ? value.join(", ") : String(value));
  fill($("settings"), ["setting", "value"], [
    ...Object.entries({ ...DATA.plan, ...DATA.software, "diffusion model (SHA-256)": DATA.engine })
      .map(([key, value]) => [key.replaceAll("_", " "), text(flat(value))]),
  ]);
  fill($("facts"), ["model", "part", "licence", "source", "fingerprint"], DATA.facts.map((one) => [
    one.spec, DATA.models.includes(one.spec) ? "climbed, judges" : "judges only", text(one.licence), text(one.source),
    text(one.fingerprint)]));
  fill($("photographs"), ["photograph", "pixels", "SHA-256"], [
    ...DATA.photographs.map((one) => [one.name, `${one.width}x${one.height}`, text(one.sha256)]),
    ...DATA.skipped.map((one) => [one.name, "skipped", text(one.reason)])]);
  $("unmatched-title").textContent = `Starts left out of the figures (${DATA.unmatched.length})`;
  fill($("unmatched"), ["photograph", "degradation", "level", "models not at the wanted fidelity"],
    DATA.unmatched.map((one) => [one.photograph, one.degradation, String(one.level), text(one.models.map((model) =>
      model.distance === null ? `${model.model}: not finished`
        : `${model.model}: D ${model.distance} for ${model.target}`).join("; "))]));
}

function options(select, key, name) {
  const values = [...new Set(DATA.groups.map((one) => one[key]))];
  select.replaceChildren(...values.map((value, index) => make("option", { value: index }, value === null ? name : String(value))));
  select.addEventListener("change", () => {
    chosen[key] = values[Number(select.value)];
    drawGroup();
  });
  select.closest("label").classList.toggle("hidden", values.length < 2);
}
options($("degradation"), "degradation", "all");
options($("level"), "level", "all");
for (const button of document.querySelectorAll("[data-kind]")) {
  button.addEventListener("click", () => {
    chosen.kind = button.dataset.kind;
    for (const other of document.querySelectorAll("[data-kind]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    if (group().conditions) drawMatrix();
  });
}
findings();
drawGroup();
drawPairs();
drawSheet();
record();
if (DATA.ranking) drawPeople(DATA.ranking);
if (DATA.simulation) drawPower(DATA.simulation);
if (DATA.mixture) drawMixture(DATA.mixture);
