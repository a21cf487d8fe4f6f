"use strict";
// The report: what it opens with, the matrix, and the contact sheet; the other sections are in people.js.
// Framed: the model itself; dashed: a judge that shares a network with it.
const kin = (row, column) => (DATA.models[row] === DATA.judges[column] ? "own" : DATA.related[row][column] ? "kin" : "");

const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
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
    ? `${many(found.conditions, "start")} of ${many(found.photographs, "photograph")}, all models at the same fidelity`
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
    ...measures.map(measured)],
  DATA.models.map((model, index) => [
    model,
    ...["own", "others", "fooled", "cost"].map((name) =>
      make("td", {}, signed(found[name].mean[index]), make("small", {}, plusMinus(found[name].error[index])))),
    ...measures.map((name) => change(name, found.measures[name][index])),
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
    if (all.photographs === 1) {
      items.push("One photograph has no standard errors: differences say nothing about others.");
    } else if (all.photographs < 10) {
      items.push(`With ${many(all.photographs, "photograph")} the standard errors are rough; differences within them say nothing.`);
    }
  } else if (all.conditions) {
    items.push("A model has no judge that shares no network with it, so nothing can be confirmed or denied: add judges.");
  } else {
    items.push("No start was brought to the same fidelity by all models, so nothing can be compared: see the record.");
  }
  if (DATA.unmatched.length) {
    items.push(`${many(DATA.unmatched.length, "start")} left out of the figures, because a model is not at the wanted fidelity.`);
  }
  if (DATA.skipped.length) items.push(`${many(DATA.skipped.length, "photograph")} could not be used: see the record.`);
  $("findings").replaceChildren(...items.map((item) => make("li", {}, item)));
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
    make("span", { class: "crop" }, make("img", { src: image.src, alt: "", decoding: "async" })),
    make("span", {}, image.label), note);
  button.setAttribute("aria-label", `${image.label}, ${DATA.sheet[place].photograph}: look closely`);
  button.addEventListener("click", () => openViewer(place, index));
  return button;
}
function drawSheet() {
  if (DATA.unshown) {
    $("sheet-rest").textContent = `${many(DATA.unshown, "further start")} in the comparison's folder; this page would be ` +
      "too large with all of them.";
  }
  $("sheet").replaceChildren(...DATA.sheet.flatMap((row, place) => [
    make("h3", { class: "sheet-title" }, `${row.photograph}, ${row.degradation}, level ${row.level}` +
      (row.matched ? "" : " (left out of the figures)")),
    make("div", { class: "strip", "data-row": place }, ...row.images.map((_, index) => thumb(place, index))),
  ]));
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
