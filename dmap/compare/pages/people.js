"use strict";
// The sections that a study, a simulation or a mixture adds, and the record.
function drawPeople(found) {
  $("people").classList.remove("hidden");
  const { overall } = found;
  const votes = found.observers.reduce((sum, one) => sum + one.votes, 0);
  $("people-lead").textContent = `Observers: ${found.observers.length}; votes: ${votes}, on pairs chosen by the ` +
    `${found.strategy} strategy. ` + (found.agreement === null ? "No pair was seen by two observers. "
      : `Agreement between observers (Krippendorff's alpha): ${number(found.agreement, 2)}. `) +
    `${found.verdict} Intervals by resampling ${found.resampled}.`;
  dots($("ranking"), "Strength of the models by people's votes", "strength, log odds", overall.models, overall.strengths,
    overall.low, overall.high);
  const kinds = [["all", overall], ...Object.entries(found.degradations)];
  fill($("rankings"), ["degradation", "place", "model", "strength", "95 % interval", "Thurstone", "votes"],
    kinds.flatMap(([kind, one]) => one.models.map((name, index) => [kind, String(index + 1), text(name),
      signed(one.strengths[index], 2), `${signed(one.low[index], 2)} to ${signed(one.high[index], 2)}`,
      signed(one.thurstone[index], 2), String(one.votes[index])])), "Rankings by degradation");
  fill($("agreement"), ["model", "rank correlation with votes", "95 % interval", "same side as the majority", "pairs"],
    DATA.agreement.map((one) => [DATA.judges[one.judge], number(one.correlation, 2),
      one.low === null ? "–" : `${number(one.low, 2)} to ${number(one.high, 2)}`,
      one.alike === null ? "–" : `${Math.round(100 * one.alike)} %`, String(one.pairs)]),
    "Spearman's correlation between a model's score difference and people's votes, bootstrap over photographs");
  const share = ([part, all]) => (all ? `${part} of ${all}` : "none");
  fill($("observers"), ["observer", "votes", "catch trials right", "repeats answered alike", "chose the left side"],
    found.observers.map((one) => [one.name, String(one.votes), share(one.catches), share(one.repeats),
      `${Math.round(one.left * 100)} %`]), "Observers whose votes count");
  const problems = found.problems.map((one) => `${one.file}: ${one.text}${one.used ? "" : " (not used)"}`);
  $("problems").replaceChildren(...(problems.length ? problems : ["None."]).map((one) => make("li", {}, one)));
}
function drawPower({ rows: found }) {
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
  const more = (follow) => {
    const rows = of("debiased", follow);
    const mean = (name) => rows.reduce((sum, one) => sum + one[name], 0) / rows.length;
    return `${signed(100 * mean("more"))} ±${number(100 * mean("more_error"))}`;
  };
  fill($("power-table"), ["follows", "debiased", "random", "debiased more often right, %"], follows.map((follow) =>
    [String(follow), String(needed("debiased", follow)), String(needed("random", follow)), more(follow)]),
  "Votes until 90 % of the model pairs are in the right order");
}
function drawMixture({ proposal, verdict, check }) {
  $("mixture").classList.remove("hidden");
  $("mixture-lead").textContent = `${verdict} Proposed: ` +
    `${proposal.parts.map(([name, weight]) => `${number(weight, 2)} ${name}`).join(", ")}; every judge was to keep ` +
    `${number(proposal.floor, 2)} of the largest gain that any model brought it.` +
    (proposal.displeased.length ? ` No model pleased ${proposal.displeased.join(", ")}.` : "") +
    Object.entries(proposal.left_out).map(([name, reason]) => ` ${name} is left out: ${reason}.`).join("");
  fill($("proposal"), ["judge", "expected gain"], Object.entries(proposal.gains).map(([name, gain]) => [name, signed(gain)]),
    "Gains on the comparison's own photographs, if gains mixed like the weights");
  if (!check) return;
  const measures = Object.keys(check.rows[0].measures);
  fill($("mixture-table"), ["prior", ...check.judges, "judges' mean gain", "mixture less this", "95 % interval",
    ...measures.map(measured)],
  check.rows.map((row) => [row.name,
    ...check.judges.map((_, index) => `${signed(row.judged.mean[index])}${plusMinus(row.judged.error[index])}`),
    signed(row.gain), row.difference === null ? "–" : signed(row.difference),
    row.difference === null ? "–" : `${signed(row.low)} to ${signed(row.high)}`,
    ...measures.map((name) => change(name, row.measures[name]))]),
  `On ${check.photographs} held-out photographs; ${check.judging}`);
}

function record() {
  $("methods").textContent = DATA.methods;
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
  $("unmatched-title").textContent = `Starts of which an output is left out (${DATA.unmatched.length})`;
  fill($("unmatched"), ["photograph", "degradation", "level", "models not at the wanted fidelity"],
    DATA.unmatched.map((one) => [one.photograph, one.degradation, String(one.level), text(one.models.map((model) =>
      model.distance === null ? `${model.model}: not finished`
        : `${model.model}: D ${model.distance} for ${model.target}`).join("; "))]));
}
