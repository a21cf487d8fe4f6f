"use strict";
// The report: what it opens with, the matrix, and the contact sheet; the other sections are in people.js.
// Framed: the model itself; dashed: its kin.
const kin = (row, column) => (DATA.models[row] === DATA.judges[column] ? "own" : DATA.related[row][column] ? "kin" : "");

const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const chosen = { degradation: null, level: null, kind: "gains" };
function group() {
  return DATA.groups.find((one) => one.degradation === chosen.degradation && one.level === chosen.level) || DATA.groups[0];
}

const starred = (judge) => (DATA.common.includes(judge) ? `${judge} *` : judge);

function drawMatrix() {
  const found = group()[chosen.kind];
  const known = found.mean.flat().filter((value) => value !== null);
  const centre = chosen.kind === "scores" ? 50 : 0;
  const largest = Math.max(chosen.kind === "deviations" ? 0.1 : 1, ...known.map((value) => Math.abs(value - centre)));
  const rows = DATA.models.map((model, row) => [
    model,
    ...DATA.judges.map((_, column) =>
      heated(found.mean[row][column], found.error[row][column], largest, centre, kin(row, column),
        chosen.kind === "deviations" ? 2 : 1)),
  ]);
  if (chosen.kind === "scores" && group().start) {
    rows.unshift(["(start)", ...group().start.map((value) => heated(value, null, largest, centre, ""))]);
  }
  const captions = {
    gains: "Mean gain over the start, in points", scores: "Mean score, 0 to 100, higher is better",
    deviations: "Mean gain over the start, in the judge's standard deviations over the starts",
  };
  fill($("cross"), ["optimised by ↓  judged by →", ...DATA.judges.map(starred)], rows, captions[chosen.kind]);
}

function drawGroup() {
  const found = group();
  $("scope").textContent = found.conditions
    ? `${many(found.conditions, "start")} of ${many(found.photographs, "photograph")}; outputs${
      DATA.plan.fixed_weight ? "" : " at the same fidelity"}: ` +
      DATA.models.map((model, index) => `${model} ${found.starts[index]}`).join(", ")
    : "no start at which a model reached the wanted fidelity";
  const empty = found.conditions === 0;
  for (const id of ["cross", "intervals", "differences", "scatter", "excess", "attack", "standing"]) $(id).replaceChildren();
  $("differences-lead").textContent = found.verdict.join(" ");
  if (empty) return;
  drawMatrix();
  drawDifferences(found);
  scatter($("scatter"), DATA.models, found.own, found.others);
  const largest = Math.max(1, ...found.excess.mean.flat().filter((value) => value !== null).map(Math.abs));
  fill($("excess"), ["outputs of ↓  judge →", ...DATA.judges], DATA.models.map((model, row) => [
    model,
    ...DATA.judges.map((_, column) =>
      heated(found.excess.mean[row][column], found.excess.error[row][column], largest, 0, kin(row, column))),
  ]), "Gain that the other judges do not confirm, in points");
  drawAttack(found);
  const measures = Object.keys(found.measures).filter((name) => found.measures[name].some((value) => value !== null));
  const toPhotograph = Object.keys(found.resemblance).filter((name) => found.resemblance[name].some((one) => one !== null));
  fill($("standing"), ["model", "own gain", "gain by common judges", "in standard deviations", "unconfirmed",
    "for each 0.01 of distance", "distance off the wanted, % of the level", ...toPhotograph.map(resembled),
    ...measures.map(measured)],
  DATA.models.map((model, index) => [
    model,
    ...["own", "others", "others_deviations", "fooled", "cost"].map((name) => pair(found[name], index,
      name === "others_deviations" ? 2 : 1)),
    pair({ mean: found.offset.mean.map(percent), error: found.offset.error.map(percent) }, index),
    ...toPhotograph.map((name) => number(found.resemblance[name][index], name.endsWith("psnr") ? 2 : 3)),
    ...measures.map((name) => change(name, found.measures[name][index])),
  ]), found.judging.kind === "common" ? `Standing of the models; common judges: ${found.judging.judges.join(", ")}`
    : "Standing of the models; no judge is common to all, so their gains are by a model of judge effects");
}
const percent = (value) => (value === null ? null : 100 * value);
const pair = (found, index, digits = 1) =>
  make("td", {}, signed(found.mean[index], digits), make("small", {}, plusMinus(found.error[index], digits)));

function drawDifferences(found) {
  const low = found.against_start.map((one) => one.low ?? one.deviations);
  const high = found.against_start.map((one) => one.high ?? one.deviations);
  if (found.against_start.length) {
    dots($("intervals"), "Gain over the start with intervals", "gain, standard deviations of the judges",
      found.against_start.map((one) => DATA.models[one.first]), found.against_start.map((one) => one.deviations), low, high);
  }
  const shown = (one) => (one.shown ? "yes" : "not shown");
  const row = (one, second) => [`${DATA.models[one.first]} less ${second}`, signed(one.deviations, 2),
    one.low === null ? "–" : `${signed(one.low, 2)} to ${signed(one.high, 2)}`, signed(one.points),
    `${one.favour} of ${one.judges}`, String(one.photographs), chance(one.p), chance(one.adjusted), shown(one)];
  fill($("differences"), ["difference", "standard deviations", "95 % interval", "points", "judges for the first",
    "photographs", "p", "p, Holm", "shown"], [
    ...found.contrasts.map((one) => row(one, DATA.models[one.second])),
    ...found.against_start.map((one) => row(one, "the start")),
  ], "Paired sign-flip tests over photographs; Holm's correction over the pairs, and over the models against the start");
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
  const items = [...DATA.verdict];
  const missing = DATA.models.map((model, index) => [model, DATA.outputs - all.starts[index]]).filter(([, count]) => count);
  if (missing.length) {
    items.push("Outputs left out, because they are not at the wanted fidelity: " +
      `${missing.map(([model, count]) => `${model} ${count} of ${DATA.outputs}`).join(", ")}.`);
  }
  if (DATA.skipped.length) items.push(`${many(DATA.skipped.length, "photograph")} could not be used: see the record.`);
  $("findings").replaceChildren(...items.map((item, index) =>
    make("li", index ? {} : { class: "headline" }, item)));
  const fitted = DATA.judges.filter((_, index) => DATA.scales[index]);
  const unfitted = DATA.judges.filter((_, index) => !DATA.scales[index]);
  $("scales").textContent = (fitted.length ? `Points are percentiles of a fixed set of degraded photographs for ${
    fitted.join(", ")}` : "") + (fitted.length && unfitted.length ? "; " : "") + (unfitted.length
    ? `${fitted.length ? "nobody" : "Nobody"} fitted the scale of ${unfitted.join(", ")}: compare those by standard deviations`
    : "") + ".";
  $("lead").textContent = `${many(DATA.photographs.length, "photograph")}, ` +
    `${many(DATA.plan.degradations.length, "degradation")}, ${many(DATA.plan.levels.length, "fidelity level")}, ` +
    `${many(DATA.models.length, "model")} climbed and ${many(DATA.judges.length, "judge")}. Every ascent had the same start, ` +
    `${many(DATA.plan.iterations, "iteration")}${DATA.plan.target_score < 100 ? " at most" : ""} and the same step rule; ` +
    (DATA.plan.fixed_weight
      ? `the prior weight was ${DATA.plan.fixed_weight} for all, so outputs are not equally far from the photograph.`
      : "the prior weight was searched for each so that outputs are equally far from the photograph, within " +
        `${DATA.plan.tolerance * 100} % of the level.`);
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

// The picture of a model's output in a row of the sheet; -1 is the start.
const output = (model) => (model < 0 ? 1 : 2 + model);
const deviations = (value) => `${signed(value, 2)} standard deviations`;

function drawFailures() {
  const cards = DATA.failures.map((one) => make("article", { class: "card" },
    make("div", { class: "images" }, thumb(one.row, output(-1)), thumb(one.row, output(one.model))),
    make("p", {}, `${DATA.models[one.model]} gains ${signed(one.own)} points by its own score; ` +
      `${many(one.judges, "judge")}: ${deviations(one.judged)}.`),
    make("p", { class: "faint" }, `${DATA.sheet[one.row].photograph}, ${DATA.sheet[one.row].degradation}`)));
  $("failures").replaceChildren(...(cards.length ? cards : [make("p", {}, "There is none.")]));
}

function drawAttacks() {
  fill($("gmad"), ["model", "aggressiveness as attacker", "resistance as defender"],
    DATA.judges.map((judge, index) => [judge, signed(DATA.aggressiveness[index], 2), signed(DATA.resistance[index], 2)]),
    "Mean difference that third judges see, in their standard deviations: of the model's attacks, and of attacks on it " +
    "with the sign turned; higher is better");
  const cards = DATA.attacks.map((one) => make("article", { class: "card" },
    make("div", { class: "images" }, thumb(one.row, output(one.better)), thumb(one.row, output(one.worse))),
    make("p", {}, `${DATA.judges[one.attacker]} attacks ${DATA.judges[one.defender]}: the first is better by ` +
      `${deviations(one.parted)}, for the defender they differ by ${number(one.alike, 2)}. Third judges: ${
        one.confirmed === null ? "there is none" : deviations(one.confirmed)}.`),
    make("p", { class: "faint" }, `${DATA.sheet[one.row].photograph}, ${DATA.sheet[one.row].degradation}`)));
  $("attacks").replaceChildren(...(cards.length ? cards : [make("p", {}, "No two outputs are alike to one model and not " +
    "to another one.")]));
}

function drawCurves({ levels, distance, gain, error, own, undominated }) {
  if (levels.length < 2) return;
  $("pareto").classList.remove("hidden");
  lines($("curves"), "Gain over the distance", `distance D (${DATA.plan.fidelity})`, "gain, standard deviations",
    DATA.models.map((name, row) => ({
      name, points: levels.map((_, column) => [distance[row][column], gain[row][column], error[row][column]])
        .filter((point) => point[0] !== null && point[1] !== null),
    })));
  legend($("curves"), DATA.models);
  fill($("curves-table"), ["model", "level", "distance", "gain, standard deviations", "own gain, points", "not beaten"],
    DATA.models.flatMap((name, row) => levels.map((level, column) => [name, String(level), number(distance[row][column], 4),
      make("td", {}, signed(gain[row][column], 2), make("small", {}, plusMinus(error[row][column], 2))),
      signed(own[row][column]), undominated[row][column] ? "yes" : "no"])), "Gain at each fidelity level");
}

function drawSrcc(found) {
  if (!found.length) return;
  $("srcc").classList.remove("hidden");
  fill($("srcc-table"), ["data set", "against", "models", "rank correlation", "95 % interval", "p"],
    found.map((one) => [one.dataset, one.outcome === "votes" ? "people's votes" : "gain by common judges",
      String(one.models), signed(one.correlation, 2),
      one.low === null ? "–" : `${signed(one.low, 2)} to ${signed(one.high, 2)}`, chance(one.p)]),
    "SRCC on data sets against the outcome here");
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
      (row.matched ? "" : " (an output is left out of the figures)")),
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
drawCurves(DATA.curves);
drawPairs();
drawAttacks();
drawFailures();
drawSrcc(DATA.srcc);
drawSheet();
record();
if (DATA.ranking) drawPeople(DATA.ranking);
if (DATA.simulation) drawPower(DATA.simulation);
if (DATA.mixture) drawMixture(DATA.mixture);
// On paper nothing can be unfolded.
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
