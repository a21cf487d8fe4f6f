"use strict";
// Small charts as SVG. Okabe and Ito's colours, distinguishable with colour-blind eyes, and a shape of its own for each.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#3a9bd6", "#7a5ca8", "#5c656c"];
const colour = (index) => COLOURS[index % COLOURS.length];

function svg(name, attributes, parent, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
}

// Outlines around 0, 0 of about unit radius.
const SHAPES = ["", "-.9,-.9 .9,-.9 .9,.9 -.9,.9", "0,-1.2 1.1,.8 -1.1,.8", "0,-1.3 1.3,0 0,1.3 -1.3,0", "0,1.2 1.1,-.8 -1.1,-.8",
  "-.4,-1.2 .4,-1.2 .4,-.4 1.2,-.4 1.2,.4 .4,.4 .4,1.2 -.4,1.2 -.4,.4 -1.2,.4 -1.2,-.4 -.4,-.4",
  "0,-1.2 1.15,-.37 .7,1 -.7,1 -1.15,-.37", "-1.2,-.5 1.2,-.5 1.2,.5 -1.2,.5"];
function mark(picture, index, x, y, size, title) {
  const points = SHAPES[index % SHAPES.length];
  const shape = points
    ? svg("polygon", { points, transform: `translate(${x} ${y}) scale(${size})`, fill: colour(index) }, picture)
    : svg("circle", { cx: x, cy: y, r: size, fill: colour(index) }, picture);
  if (title) svg("title", {}, shape, title);
}

function ticks(low, high, count = 5) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(Number(at.toPrecision(10)));
  return found;
}

// A frame with axes; returns the drawing and the two scales.
function frame(place, title, x, y, options = {}) {
  const { width = 620, height = 380, left = 64, right = 20, logX = false } = options;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  const map = (value) => (logX ? Math.log10(value) : value);
  const [x0, x1] = [map(x.low), map(x.high)];
  const px = (value) => left + (map(value) - x0) / (x1 - x0) * (width - left - right);
  const py = (value) => height - 48 - (value - y.low) / (y.high - y.low) * (height - 68);
  for (const at of x.ticks || ticks(x.low, x.high)) {
    svg("line", { x1: px(at), x2: px(at), y1: 20, y2: height - 48, class: "grid" }, picture);
    svg("text", { x: px(at), y: height - 30, "text-anchor": "middle", class: "faint" }, picture, at);
  }
  for (const at of ticks(y.low, y.high)) {
    svg("line", { x1: left, x2: width - right, y1: py(at), y2: py(at), class: "grid" }, picture);
    svg("text", { x: left - 8, y: py(at) + 4, "text-anchor": "end", class: "faint" }, picture, at);
  }
  svg("text", { x: (left + width) / 2, y: height - 8, "text-anchor": "middle" }, picture, x.label);
  svg("text", { x: 14, y: (height - 28) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(height - 28) / 2})` },
    picture, y.label);
  place.replaceChildren(picture);
  return { picture, px, py };
}

function range(values, zero = true) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  let low = Math.min(...known, ...(zero ? [0] : []));
  let high = Math.max(...known, ...(zero ? [0] : []));
  if (!(high > low)) [low, high] = [low - 1, high + 1];
  const room = (high - low) * 0.08;
  return { low: low - room, high: high + room };
}

function legend(place, names) {
  const list = document.createElement("ul");
  list.className = "legend";
  names.forEach((name, index) => {
    const item = document.createElement("li");
    const swatch = svg("svg", { viewBox: "-1.5 -1.5 3 3", class: "swatch", "aria-hidden": "true" });
    mark(swatch, index, 0, 0, 1);
    item.append(swatch, name);
    list.append(item);
  });
  place.append(list);
}

function scatter(place, names, own, others) {
  const spread = (pair) => pair.mean.flatMap((v, i) => (v === null) ? [] : [v - (pair.error[i] || 0), v + (pair.error[i] || 0)]);
  const both = range([...spread(own), ...spread(others)]);
  const { picture, px, py } = frame(place, "Own gain against the mean gain of the other judges",
    { ...both, label: "own gain, points" }, { ...both, label: "gain by common judges, points" }, { height: 460 });
  svg("line", { x1: px(both.low), y1: py(both.low), x2: px(both.high), y2: py(both.high), class: "axis dash" }, picture);
  names.forEach((name, index) => {
    if (others.mean[index] === null) return;
    const [x, y, ex, ey] = [own.mean[index], others.mean[index], own.error[index] || 0, others.error[index] || 0];
    const line = { stroke: colour(index), "stroke-width": 2 };
    svg("line", { x1: px(x - ex), x2: px(x + ex), y1: py(y), y2: py(y), ...line }, picture);
    svg("line", { x1: px(x), x2: px(x), y1: py(y - ey), y2: py(y + ey), ...line }, picture);
    mark(picture, index, px(x), py(y), 6, `${name}: own ${x.toFixed(1)}, others ${y.toFixed(1)}`);
  });
  legend(place, names);
}

// Horizontal marks with intervals, one row a name.
function dots(place, title, label, names, middle, low, high) {
  const x = range([...middle, ...low, ...high]);
  const height = 70 + 34 * names.length;
  const { picture, px } = frame(place, title, { ...x, label }, { low: 0, high: 1, label: "" }, { height, left: 210 });
  for (const old of picture.querySelectorAll("text[text-anchor=end]")) old.remove();
  svg("line", { x1: px(0), x2: px(0), y1: 20, y2: height - 48, class: "axis" }, picture);
  names.forEach((name, index) => {
    const y = 38 + 34 * index;
    if (middle[index] === null) return;
    svg("text", { x: 200, y: y + 4, "text-anchor": "end" }, picture, name.length > 30 ? `${name.slice(0, 29)}…` : name);
    svg("line", { x1: px(low[index]), x2: px(high[index]), y1: y, y2: y, stroke: colour(0), "stroke-width": 3 }, picture);
    mark(picture, 0, px(middle[index]), y, 6,
      `${name}: ${middle[index].toFixed(2)} (${low[index].toFixed(2)} to ${high[index].toFixed(2)})`);
  });
}

// Lines over x; a series is {name, points: [[x, y, error of y, or none], ...], dash}.
function lines(place, title, xLabel, yLabel, series, options = {}) {
  const xs = series.flatMap((one) => one.points.map((point) => point[0]));
  const ys = series.flatMap((one) => one.points.flatMap(([, y, error]) => [y - (error || 0), y + (error || 0)]));
  const x = options.logX ? { low: Math.min(...xs), high: Math.max(...xs), ticks: [...new Set(xs)] } : range(xs, false);
  const y = options.y || range(ys);
  const { picture, px, py } = frame(place, title, { ...x, label: xLabel }, { ...y, label: yLabel }, options);
  series.forEach((one, index) => {
    const stroke = { stroke: colour(one.colour ?? index), "stroke-width": 2.5, fill: "none" };
    if (one.dash) stroke["stroke-dasharray"] = "6 4";
    svg("polyline", { points: one.points.map(([a, b]) => `${px(a)},${py(b)}`).join(" "), ...stroke }, picture);
    for (const [a, b, error] of one.points) {
      if (error) svg("line", { x1: px(a), x2: px(a), y1: py(b - error), y2: py(b + error), ...stroke }, picture);
      mark(picture, one.colour ?? index, px(a), py(b), 4);
    }
  });
}
